"""Two processes train what one trains, and go on when one of them was killed."""

import csv
import json
import subprocess
import sys
from pathlib import Path

from tests.clones import ROOT, Clone
from tests.faults.test_crash import RESULTS, copy_code, remove_results, results

import pytest
import torch
from safetensors import safe_open

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
EPOCHS, STEPS = 3, 6


@pytest.fixture
def alone_and_together(workspace, params, monkeypatch):
    """A function: what one_of_several.py writes, alone and as two processes."""
    Path("params.yaml").write_text(params())
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def train(kind: str) -> list[tuple[dict[str, torch.Tensor], list, list]]:
        found = []
        for name, runner in (("alone", [sys.executable]), ("together", [*TORCHRUN, "2"])):
            subprocess.run([*runner, HERE / "one_of_several.py", name, kind], check=True)
            with safe_open(name, "pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no dictionary)
                found.append((tensors, *(json.loads(file.metadata()[key]) for key in ("figures", "steps"))))
        return found

    return train


@pytest.mark.parametrize("kind", ["without norms", "with frozen norms"])
def test_two_processes_get_the_parameters_and_the_figures_of_one(alone_and_together, kind):
    (expected, figures, steps), (found, figures_found, steps_found) = alone_and_together(kind)
    assert len(steps) == 10
    assert steps_found == steps, "a step shows the whole batch, however many processes share it"
    for step in (1, 10):
        for name in [name for name in expected if name.startswith(f"{step}.")]:
            torch.testing.assert_close(found[name], expected[name], msg=lambda text, name=name: f"{name}: {text}")
    changed = [name for name in expected if name.startswith("10.") and name.endswith("weight")]
    assert any((expected[name] - expected[name.replace("10.", "1.", 1)]).abs().max() > 1e-3 for name in changed)
    _, loss, accuracy, val_loss, val_accuracy, recall = figures
    _, loss_found, accuracy_found, val_loss_found, val_accuracy_found, recall_found = figures_found
    assert (loss_found, val_loss_found) == pytest.approx((loss, val_loss), rel=1e-4)
    assert accuracy_found == pytest.approx(accuracy, abs=1e-6)
    assert (val_accuracy_found, recall_found) == (val_accuracy, recall)


@pytest.fixture
def training(workspace, small_dataset, params, monkeypatch):
    """A copy of the code with a small prepared dataset."""
    copy_code(workspace)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("SAVE_EVERY", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    changes = {"train.epochs": EPOCHS, "train.batch_size": 8, "train.augment": {"RandomErasing": {"p": 1.0}}}
    Path("params.yaml").write_text(params(changes))
    small_dataset(workspace / "data", train=22, test=4)  # of which a quarter is held out
    Clone(workspace).run("python", "prepare.py")


def train(processes: int, *runner: str) -> subprocess.CompletedProcess:
    launch = [*TORCHRUN, str(processes)] if processes > 1 else [sys.executable]
    command = [*launch, *(runner or ["train.py"])]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def history() -> list[dict[str, float]]:
    with open(RESULTS[1], newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize(("rank", "step"), [(0, 1), (1, STEPS + 2)])
def test_a_killed_process_ends_all_and_the_same_command_goes_on(training, rank, step):
    whole = train(2)
    assert whole.returncode == 0, whole.stdout
    assert whole.stdout.count("wrote models/classifier.safetensors") == 1
    expected = results()
    for processes in (2, 1):
        remove_results()
        killed = train(2, str(HERE / "killed_rank.py"), str(rank), str(step), "train.py")
        assert killed.returncode != 0
        assert "because another one has ended" in killed.stdout or "goes on from the last saved state" in killed.stdout
        assert "SIGKILL" in killed.stdout
        assert not Path(RESULTS[0]).exists()
        again = train(processes)
        assert again.returncode == 0, again.stdout
        epoch, within = divmod(step, STEPS)
        assert f"going on after step {within} of epoch {epoch + 1}, where" in again.stdout
        if processes == 2:
            assert results() == expected
    assert len(history()) == EPOCHS
    assert not list(Path(".resume").glob("*.safetensors"))


def test_a_reason_for_which_all_end_is_told_and_the_lock_is_that_of_the_first(training):
    refused = train(3)
    assert refused.returncode != 0
    assert "train.batch_size is 8, which 3 processes cannot share equally" in refused.stdout
    diverging = Path("params.yaml").read_text().replace("lr: 0.1", "lr: 1.0e+30", 1)
    Path("params.yaml").write_text(diverging)
    diverged = train(2)
    assert diverged.returncode != 0
    assert "training diverged, and no checkpoint was written" in diverged.stdout
    assert not Path(RESULTS[0]).exists()
