"""An interrupted training goes on where it stopped, and only if it is the same training."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import prepare
import train
from classifier.errors import InputError
from classifier.paths import CHECKPOINT, HISTORY
from classifier.training import resume
from classifier.training.resume import alone, load_state, save_state, state_path
from tests.conftest import ROOT

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import SGD, AdamW

FINISHED = [str(CHECKPOINT), str(HISTORY)]


@pytest.fixture
def run_train(workspace, small_dataset, params, monkeypatch):
    """A function: train on a small dataset; with `until`, stop before that epoch as Ctrl+C would."""
    monkeypatch.setattr(resume, "FOLDER", Path(".resume"))
    small_dataset()
    Path("params.yaml").write_text(params())
    prepare.main()
    train_one_epoch = train.Trainer.train_one_epoch

    def run(changes=None, until=None) -> dict[str, bytes]:
        def stop(self, data, epoch, bar):
            if epoch == until:
                raise KeyboardInterrupt
            return train_one_epoch(self, data, epoch, bar)

        monkeypatch.setattr(train.Trainer, "train_one_epoch", stop)
        Path("params.yaml").write_text(params({"train.epochs": 4} | (changes or {})))
        train.main()
        return {name: Path(name).read_bytes() for name in FINISHED}

    return run


def interrupt(run, changes=None, until=2) -> Path:
    """Stop a training; returns the file with its state."""
    with pytest.raises(SystemExit, match=f"interrupted in epoch {until + 1}: the same command goes on"):
        run(changes, until)
    (state,) = Path(".resume").glob("*.safetensors")
    return state


VARIANTS = {
    "muon": {"train.augment": {"RandomHorizontalFlip": {}, "RandomErasing": {}}},
    "adamw": {"train.optimizer": "adamw", "train.lr": 0.002, "train.keep": "last"},
    "sgd": {"train.optimizer": "sgd", "train.lr": 0.02, "train.class_weights": {"cat": 2.0}},
    "sgd without momentum": {"train.optimizer": "sgd", "train.lr": 0.02, "train.momentum": 0.0},
    "low resolution first": {"train.low_res_share": 0.6, "prepare.image_size": 24},
    "bf16": {"train.precision": "bf16"},
    "an average": {"train.ema": 0.9},
    "parts of a batch": {"train.accumulate": 2},
    "a network with dropout": {"train.model": "squeezenet1_1", "prepare.image_size": 32, "train.optimizer": "adamw"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_resumed_training_ends_with_the_same_bytes(run_train, params, variant, capsys):
    changes = VARIANTS[variant]
    if "prepare.image_size" in changes:
        Path("params.yaml").write_text(params(changes))
        prepare.main()
    whole = run_train(changes)
    for name in FINISHED:
        Path(name).unlink()
    interrupt(run_train, changes)
    assert run_train(changes) == whole
    assert "going on after epoch 2" in capsys.readouterr().out


def test_a_training_that_ends_well_leaves_no_state(run_train):
    interrupt(run_train)
    run_train()
    assert list(Path(".resume").iterdir()) == []


def test_an_interrupted_training_leaves_the_last_checkpoint_alone(run_train):
    before = run_train({"train.seed": 1})
    interrupt(run_train)
    assert {name: Path(name).read_bytes() for name in FINISHED} == before


@pytest.mark.parametrize("changes", [{"train.lr": 0.05}, {"train.seed": 3}, {"train.class_weights": {"cat": 2.0}}])
def test_another_parameter_starts_afresh(run_train, changes, capsys):
    whole = run_train(changes)
    interrupt(run_train)
    assert run_train(changes) == whole
    assert "going on" not in capsys.readouterr().out


def test_other_data_starts_afresh(run_train, params, capsys):
    interrupt(run_train)
    Path("params.yaml").write_text(params({"prepare.seed": 5}))
    prepare.main()
    run_train({"prepare.seed": 5})
    assert "going on" not in capsys.readouterr().out


def test_another_environment_starts_afresh(run_train, monkeypatch, capsys):
    interrupt(run_train)
    monkeypatch.setattr(
        train, "describe_environment", lambda *_: {"processor": "other", "threads": 64, "precision": ""}
    )
    run_train()
    assert "going on" not in capsys.readouterr().out


def test_another_line_of_code_names_another_state():
    code = (
        "import sys\n"
        "for root in sys.argv[1:]:\n"
        "    sys.path.insert(0, root)\n"
        "    from classifier.training.resume import state_path\n"
        "    print(state_path({'lr': 0.1}).name)\n"
        "    for name in [name for name in sys.modules if name.startswith('classifier')]:\n"
        "        del sys.modules[name]\n"
    )

    def names(*roots: Path) -> list[str]:
        command = [sys.executable, "-c", code, *roots]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    def copy(root: Path, addition: str) -> Path:
        for path in (ROOT / "classifier").rglob("*.py"):
            target = root / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(path.read_text() + addition * (path.name == "files.py"))
        return root

    with tempfile.TemporaryDirectory() as folder:
        same, other = copy(Path(folder) / "same", ""), copy(Path(folder) / "other", "# a line\n")
        first, second, third = names(ROOT, same, other)
        assert first == second != third


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign"])
def test_damaged_state_is_not_used_and_training_starts_afresh(run_train, damage, capsys):
    whole = run_train()
    state = interrupt(run_train)
    content = bytearray(state.read_bytes())
    if damage == "flipped":
        content[-100] ^= 1
    state.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "flipped": content,
            "empty": b"",
            "foreign": whole[str(CHECKPOINT)],
        }[damage]
    )
    assert run_train() == whole
    output = capsys.readouterr().out
    assert "starting afresh: " in output
    assert str(state) in output


def test_a_second_trainer_refuses_and_names_the_first(run_train):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from classifier.training.resume import alone\n"
        "with alone(Path('.resume/lock')): print('held', flush=True); sys.stdin.read()\n"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code, ROOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"another training, process {first.pid}, is at work here"):
            run_train()
        first.kill()
    run_train()  # the lock ended with its process


def test_two_trainings_of_the_same_state_exclude_each_other_from_any_folder(tmp_path):
    lock = tmp_path / "state.lock"
    with alone(lock), pytest.raises(InputError, match=f"process {os.getpid()}"), alone(lock):
        pass


def test_state_keeps_every_optimizer_value_and_its_memory_layout(tmp_path):
    def make():
        torch.manual_seed(0)
        model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        return model, [AdamW([model.weight]), SGD([model.bias], momentum=0.9)]

    model, optimizers = make()
    for optimizer in optimizers:
        model(torch.rand(2, 3, 5, 5)).sum().backward()
        optimizer.step()
    save_state(tmp_path / "s", {"model": model}, optimizers, {"w": torch.ones(2)}, {"epoch": 3, "loss": 0.1})

    restored, again = make()
    weights, values = load_state(tmp_path / "s", {"model": restored}, again)
    assert values == {"epoch": 3, "loss": 0.1}
    assert weights["w"].tolist() == [1, 1]
    for before, after in zip(optimizers, again, strict=True):
        for p, q in zip(before.state.values(), after.state.values(), strict=True):
            assert p.keys() == q.keys()
            assert all(torch.equal(p[key], q[key]) and p[key].stride() == q[key].stride() for key in p)


def test_the_order_of_parameters_does_not_name_another_state():
    assert state_path({"a": 1, "b": 2}) == state_path(json.loads('{"b": 2, "a": 1}'))
    assert state_path({"a": 1}) != state_path({"a": 2})


def test_the_number_of_updates_returns_to_the_gpu_of_a_fused_optimizer(tmp_path, monkeypatch):
    model = torch.nn.Linear(2, 1)
    optimizer = AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    save_state(tmp_path / "state", {"model": model}, [optimizer], {}, {})
    read = resume.read_tensors(tmp_path / "state", resume.KEY)
    monkeypatch.setattr(resume, "read_tensors", lambda *_: read)
    with FakeTensorMode(allow_non_fake_inputs=True):  # tensors without content, so that no GPU is needed
        there = torch.nn.Linear(2, 1, device="cuda")
        fused, plain = AdamW(there.parameters(), fused=True), AdamW(there.parameters())
        load_state(tmp_path / "state", {"model": there}, [fused])
        load_state(tmp_path / "state", {"model": there}, [plain])
    assert {state["step"].device.type for state in fused.state.values()} == {"cuda"}
    assert {state["step"].device.type for state in plain.state.values()} == {"cpu"}  # where torch wants it
