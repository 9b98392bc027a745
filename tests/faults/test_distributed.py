"""Two processes train what one trains, and what may happen to one process may happen to them."""

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from tests.clones import Clone
from tests.faults.conftest import RESULTS, remove_results, results
from tests.wandb_failures import a_port_that_never_answers

import pytest
import torch
import torch.distributed.run as torchrun
from safetensors import safe_open

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
EPOCHS, STEPS = 3, 6
# A network without batch norm, so that one process has the figures of two.
PARAMS = {"train.model": "timm/test_vit", "train.optimizer": "adamw", "train.lr": 0.003, "train.calibrate": True}
IMAGES = {"train": 22, "test": 4}  # of which a quarter is held out
PARAMS |= {"train.epochs": EPOCHS, "train.batch_size": 8, "train.augment": {"RandomErasing": {"p": 1.0}}}

# The rank that is killed, and before which step; and as many random ones as KILLS says.
DRAW = random.Random(0)
MOMENTS = [(0, 1.0), (1, STEPS + 2.0)]
MOMENTS += [(k % 2, round(DRAW.uniform(1, EPOCHS * STEPS - 1), 2)) for k in range(int(os.environ.get("KILLS", "0")))]


@pytest.fixture
def training(training, monkeypatch) -> Path:
    """No state of another test in it, and states saved after each step."""
    monkeypatch.setenv("SAVE_EVERY", "0")
    shutil.rmtree(".resume", ignore_errors=True)
    return training


@pytest.fixture
def uninterrupted(training, cache) -> dict[str, bytes]:
    """What two processes write that nothing disturbs."""
    if not cache:
        done = train(2, *at_step(1, 10**9, "wait"))  # which never comes, but the second process writes nothing
        assert done.returncode == 0, done.stdout
        assert done.stdout.count("wrote models/classifier.safetensors") == 1
        cache.update(results())
        remove_results()
    return cache


def start(processes: int, *command: str, **environment: str) -> subprocess.Popen:
    """Start a script here, alone or by torchrun, in forks of the warm process."""
    several = ["python", torchrun.__file__, "--standalone", "--nproc-per-node", str(processes), "--no-python"]
    launch = several if processes > 1 else []
    return Clone(Path.cwd(), environment).start(*launch, "python", *command)


def train(processes: int, *runner: str, **environment: str) -> subprocess.CompletedProcess:
    process = start(processes, *map(str, runner), "train.py", **environment)
    output, _ = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output)


def at_step(rank: int, step: float, what: str) -> list[str]:
    return [str(HERE / "at_step.py"), str(rank), str(step), what]


def history() -> list[list[float]]:
    with open(RESULTS[1], newline="") as file:
        return [[float(value) for value in row.values()] for row in csv.DictReader(file)]


# The same training


@pytest.fixture
def alone_and_together(training):
    """The folders alone/ and together/ with what one_of_several.py writes, alone and as two processes."""
    for name, processes in (("alone", 1), ("together", 2)):
        if not Path(name).exists():
            Path(name).mkdir()
            process = start(processes, str(HERE / "one_of_several.py"), name)
            output, _ = process.communicate()
            assert process.returncode == 0, output
    return training


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, list]]:
    """Parameters after each step, and what was told: figures of the epoch, images of each step."""
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no dictionary)
        return tensors, {name: json.loads(values) for name, values in file.metadata().items()}


# For float32 those of assert_close itself.
@pytest.mark.parametrize(("number", "within"), [("float32", {}), ("float64", {"rtol": 0, "atol": 1e-12})])
@pytest.mark.parametrize("kind", ["plain", "with frozen norms", "with adamw", "head alone"])
def test_two_processes_get_the_parameters_and_the_figures_of_one(alone_and_together, kind, number, within):
    (expected, told), (found, told_together) = (
        read(alone_and_together / name / f"{kind}, {number}") for name in ("alone", "together")
    )
    assert len(told["steps"]) == 10
    assert told_together["steps"] == told["steps"], "a step shows the whole batch, however many processes share it"
    for step in (1, 10):
        for name in [name for name in expected if name.startswith(f"{step}.")]:
            torch.testing.assert_close(
                found[name], expected[name], **within, msg=lambda text, name=name: f"{name}: {text}"
            )
    changed = [name for name in expected if name.startswith("10.") and name.endswith("weight")]
    assert any((expected[name] - expected[name.replace("10.", "1.", 1)]).abs().max() > 1e-3 for name in changed)
    _, loss, accuracy, val_loss, val_accuracy, recall = told["figures"]
    _, loss_found, accuracy_found, val_loss_found, val_accuracy_found, recall_found = told_together["figures"]
    assert (loss_found, val_loss_found) == pytest.approx((loss, val_loss), rel=1e-4)
    assert accuracy_found == pytest.approx(accuracy, abs=1e-6)
    assert (val_accuracy_found, recall_found) == (val_accuracy, recall)


def test_validation_is_of_the_network_that_is_kept_also_where_statistics_differ(alone_and_together):
    _, told = read(alone_and_together / "together" / "with norms, float32")
    assert told["figures"][3] == pytest.approx(told["kept"][0], rel=1e-5)


# What stops it, and that the same command goes on


@pytest.mark.parametrize(("rank", "step"), MOMENTS)
def test_a_killed_process_ends_all_and_one_or_two_go_on(uninterrupted, rank, step):
    killed = train(2, *at_step(rank, step, "SIGKILL"))
    assert killed.returncode != 0
    assert "SIGKILL" in killed.stdout
    assert "same command goes on from the last saved state" in killed.stdout
    assert not Path(RESULTS[0]).exists()
    shutil.copytree(".resume", "saved", dirs_exist_ok=True)
    figures, temperatures = [], []
    for processes in (1, 2):
        again = train(processes)
        assert again.returncode == 0, again.stdout
        assert "going on after " in again.stdout
        assert not list(Path(".resume").glob("*.safetensors"))
        figures.append(history())
        temperatures.append(float(again.stdout.partition("logits are divided by ")[2].split()[0]))
        if processes == 1:
            remove_results()
            shutil.rmtree(".resume")
            shutil.move("saved", ".resume")
    assert results() == uninterrupted
    torch.testing.assert_close(*map(torch.tensor, figures), rtol=1e-4, atol=1e-6)
    assert temperatures[0] == pytest.approx(temperatures[1], rel=1e-3)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_does_not_answer_ends_all_and_the_same_command_goes_on(uninterrupted, rank):
    hung = train(2, *at_step(rank, STEPS + 2, "SIGSTOP"))
    assert hung.returncode != 0
    assert f"process {1 - rank} of 2 ends, because another one has ended or does not answer" in hung.stdout, hung.stdout
    again = train(2)
    assert "going on after step 2 of epoch 2, where" in again.stdout
    assert results() == uninterrupted


def reach(step: int) -> subprocess.Popen:
    """Start two processes of which one waits before a step, until the file `reached` is gone."""
    process = start(2, *at_step(1, step, "wait"), "train.py")
    while not Path("reached").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_signal_to_torchrun_loses_nothing(uninterrupted, number):
    process = reach(STEPS + 3)
    process.send_signal(number)
    output, _ = process.communicate()
    Path("reached").unlink()
    assert process.returncode != 0
    assert "interrupted in epoch 2: the same command goes on from the last saved state." in output
    assert not list(Path.cwd().rglob(".*.tmp"))
    assert not Path(RESULTS[0]).exists()
    again = train(2)
    # The first process may have been just saving what it did while the second one waited.
    assert re.search("going on after step [23] of epoch 2, where", again.stdout), again.stdout
    assert results() == uninterrupted


def test_where_torchrun_alone_is_killed_the_next_refuses_until_its_processes_have_ended(uninterrupted):
    process = reach(STEPS + 3)
    process.kill()
    first = Path(".resume/lock").read_text()
    second = train(2)
    assert second.returncode != 0
    assert f"another training, process {first}, is at work here" in second.stdout
    Path("reached").unlink()
    process.communicate()  # until nobody has its output open
    assert results() == uninterrupted
    assert not list(Path(".resume").glob("*"))


def test_a_full_disk_ends_all_and_leaves_no_temporary_file(uninterrupted):
    full = train(2, *at_step(0, 2, "full disk"))
    assert full.returncode != 0
    assert "cannot be written: File too large" in full.stdout
    assert not list(Path.cwd().rglob(".*.tmp"))
    assert "going on after step 2 of epoch 1, where" in train(2).stdout
    assert results() == uninterrupted


def test_with_a_damaged_state_or_other_parameters_training_starts_afresh(uninterrupted, params):
    train(2, *at_step(1, 3, "SIGKILL"))
    Path("params.yaml").write_text(params(PARAMS | {"train.epochs": 1}))
    other = train(2)
    assert other.returncode == 0, other.stdout
    assert "going on" not in other.stdout
    remove_results()
    Path("params.yaml").write_text(params(PARAMS))
    (state,) = Path(".resume").glob("*.safetensors")
    content = bytearray(state.read_bytes())
    content[-100] ^= 1
    state.write_bytes(content)
    again = train(2)
    assert again.stdout.count("starting afresh: ") == 1
    assert results() == uninterrupted


def test_a_reason_for_which_all_end_is_told(training, params):
    def refused(processes: int = 2, **environment: str) -> str:
        done = train(processes, **environment)
        assert done.returncode != 0
        assert not Path(RESULTS[0]).exists()
        return done.stdout

    assert "train.batch_size is 8, which 3 processes cannot share equally" in refused(3)
    if not torch.cuda.is_available():
        assert "DEVICE=cuda cannot be used" in refused(DEVICE="cuda")
    split = Path("prepared/train.safetensors")
    sound = split.read_bytes()
    split.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert f"{split} is not the file that was prepared" in refused(SPLITS="disk")
    split.write_bytes(sound)
    shutil.rmtree("models", ignore_errors=True)
    Path("models").touch()  # where no folder can be made, not even by root
    assert f"{RESULTS[0]} cannot be written: File exists" in refused()
    Path("models").unlink()
    Path("params.yaml").write_text(params(PARAMS | {"train.lr": 1e30}))
    told = refused()
    assert "training diverged, and no checkpoint was written" in told
    assert "at epoch " in told


def test_a_tracking_server_that_never_answers_changes_no_byte(uninterrupted):
    with ExitStack() as stack:
        done = train(2, **a_port_that_never_answers(stack.enter_context))
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("W&B: offline run") == len(list(Path("wandb").glob("offline-run-*"))) == 1
    assert results() == uninterrupted
