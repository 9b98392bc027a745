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
from classifier.tensors import read_tensors, write_tensors
from classifier.training import record, resume
from classifier.training.resume import alone, read_state, restore, save_state, state_path
from tests.conftest import ROOT

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import SGD, AdamW

FINISHED = [str(CHECKPOINT), str(HISTORY)]


@pytest.fixture
def run_train(workspace, small_dataset, params, monkeypatch):
    """A function: train on a small dataset; stop before an epoch, `until`, or after some `steps`, as Ctrl+C would."""
    monkeypatch.setattr(resume, "FOLDER", Path(".resume"))
    small_dataset()
    Path("params.yaml").write_text(params())
    prepare.main()
    train_one_epoch, train_step = train.Trainer.train_one_epoch, train.Trainer.train_step

    def run(changes=None, until=None, steps=None) -> dict[str, bytes]:
        done = 0

        def stop(self, data, epoch, *rest):
            if epoch == until:
                raise KeyboardInterrupt
            return train_one_epoch(self, data, epoch, *rest)

        def stop_step(*arguments):
            nonlocal done
            if done == steps:
                raise KeyboardInterrupt
            done += 1
            return train_step(*arguments)

        monkeypatch.setattr(train.Trainer, "train_one_epoch", stop)
        monkeypatch.setattr(train.Trainer, "train_step", stop_step)
        Path("params.yaml").write_text(params({"train.epochs": 4} | (changes or {})))
        train.main()
        return {name: Path(name).read_bytes() for name in FINISHED}

    return run


def interrupt(run, changes=None, until=2, steps=None) -> Path:
    """Stop a training; returns the file with its state."""
    with pytest.raises(
        SystemExit, match=r"interrupted in epoch \d: the same command goes on from the last saved state"
    ):
        run(changes, until, steps)
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


WITHIN = {
    "augmented": {"train.augment": {"RandomErasing": {}}, "train.flip": "alternating"},
    "class weights, margins and no momentum": VARIANTS["sgd without momentum"]
    | {"train.class_weights": {"cat": 2.0}, "train.class_weighting": "logits"},
    "scaled gradients": {"train.optimizer": "sgd", "train.lr": 0.02, "train.precision": "fp16"},
    "mixed": {"train.mixup": 0.4, "train.cutmix": 1.0, "train.accumulate": 2, "train.ema": 0.9},
    "low resolution first": VARIANTS["low resolution first"],
    "a network with dropout": VARIANTS["a network with dropout"],
}


@pytest.mark.parametrize("variant", WITHIN)
def test_a_training_that_stops_within_epochs_ends_with_the_same_bytes(run_train, params, monkeypatch, variant, capsys):
    changes = WITHIN[variant] | {"train.batch_size": 6, "train.epochs": 2}
    if "prepare.image_size" in changes:
        Path("params.yaml").write_text(params(changes))
        prepare.main()
    whole = run_train(changes)
    for name in FINISHED:
        Path(name).unlink()
    monkeypatch.setenv("SAVE_EVERY", "0")
    for _ in range(2):
        interrupt(run_train, changes, until=None, steps=2)  # of 2 × 3
    assert run_train(changes) == whole
    told = capsys.readouterr().out
    assert "going on after step 2 of epoch 1, where" in told
    assert "going on after step 1 of epoch 2, where" in told


def test_saving_within_epochs_changes_no_byte(run_train, monkeypatch):
    changes = {"train.batch_size": 4, "train.epochs": 2, "train.ema": 0.9}
    whole = run_train(changes)
    monkeypatch.setenv("SAVE_EVERY", "0")
    assert run_train(changes) == whole


def test_states_within_an_epoch_are_saved_by_the_clock(run_train, monkeypatch):
    saved = []
    monkeypatch.setattr(record.Record, "save", lambda self, begun: saved.append(begun.steps))
    run_train({"train.batch_size": 4, "train.epochs": 2})
    assert saved == [0, 0], "after each epoch: no epoch takes five minutes"
    monkeypatch.setenv("SAVE_EVERY", "soon")
    with pytest.raises(InputError, match="SAVE_EVERY=soon must be a number of seconds"):
        run_train({"train.epochs": 3})


def test_a_state_with_a_loss_that_is_not_finite_is_not_saved(run_train, monkeypatch):
    monkeypatch.setenv("SAVE_EVERY", "0")
    with pytest.raises(InputError, match=r"loss is (nan|inf) at epoch 1, step \d"):
        run_train({"train.optimizer": "sgd", "train.lr": 1e30, "train.batch_size": 4})
    (state,) = Path(".resume").glob("*.safetensors")
    losses = resume.read_state(state).groups["begun"]["losses"]
    assert losses.isfinite().all()


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


LIES = {
    "nothing": lambda tensors, values: (tensors.clear(), values.clear()),
    "no begun epoch": lambda tensors, values: [tensors.pop(name) for name in list(tensors) if "begun" in name],
    "more epochs": lambda tensors, values: values.update(history=values["history"] * 3, logged=values["logged"] * 3),
    "another history": lambda tensors, values: values["history"][0].__setitem__(1, 0.5),
    "text": lambda tensors, values: values["history"][0].__setitem__(1, "0.5"),
    "another shape": lambda tensors, values: tensors.update({optimizers(tensors)[0]: torch.zeros(1)}),
    "another type": lambda tensors, values: tensors.update({optimizers(tensors)[0]: torch.zeros(1, dtype=torch.bool)}),
    "a part of an optimizer's": lambda tensors, values: tensors.pop(next(n for n in tensors if "exp_avg_sq" in n)),
    "fewer updates than none": lambda tensors, values: tensors.update(
        {next(n for n in tensors if n.endswith(".step")): torch.tensor(-1.0)}
    ),
    "another optimizer": lambda tensors, values: tensors.update({"optimizer.7.0.momentum": torch.zeros(1)}),
    "weights of another network": lambda tensors, values: tensors.pop(next(n for n in tensors if "weights." in n)),
    "a begun epoch that is over": lambda tensors, values: tensors.update(
        {"begun.losses": torch.ones(99), "begun.accuracies": torch.ones(99)}
    ),
}


def optimizers(tensors: dict) -> list[str]:
    return [name for name in tensors if name.startswith("optimizer.")]


def test_a_whole_state_that_is_none_of_this_training_is_refused(run_train):
    state = interrupt(run_train)
    for kind, lie in LIES.items():
        tensors, values = read_tensors(state, resume.KEY)
        sound = state.read_bytes()
        lie(tensors, values)
        if kind == "nothing":
            values |= {"processes": 1, "threads": torch.get_num_threads()}
        write_tensors(state, resume.KEY, tensors, values)
        with pytest.raises(InputError, match=r"does not hold a state of this training \(.+\): remove it"):
            run_train()
        state.write_bytes(sound)
    run_train()


def test_where_memory_is_short_the_state_is_not_to_blame(run_train, monkeypatch):
    interrupt(run_train)

    def fail(*_) -> None:
        raise MemoryError

    monkeypatch.setattr("classifier.training.record.restore", fail)
    with pytest.raises(MemoryError):
        run_train()


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
    groups = {"weights": {"w": torch.ones(2)}}
    save_state(tmp_path / "s", {"model": model}, optimizers, groups, {"epoch": 3, "loss": 0.1})

    restored, again = make()
    state = read_state(tmp_path / "s")
    restore(state, {"model": restored}, again)
    assert state.values == {"epoch": 3, "loss": 0.1}
    assert state.groups["weights"]["w"].tolist() == [1, 1]
    for before, after in zip(optimizers, again, strict=True):
        for p, q in zip(before.state.values(), after.state.values(), strict=True):
            assert p.keys() == q.keys()
            assert all(torch.equal(p[key], q[key]) and p[key].stride() == q[key].stride() for key in p)


def test_the_order_of_parameters_does_not_name_another_state():
    assert state_path({"a": 1, "b": 2}) == state_path(json.loads('{"b": 2, "a": 1}'))
    assert state_path({"a": 1}) != state_path({"a": 2})


def test_the_number_of_updates_returns_to_the_gpu_of_a_fused_optimizer(tmp_path):
    model = torch.nn.Linear(2, 1)
    optimizer = AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    save_state(tmp_path / "state", {"model": model}, [optimizer], {}, {})
    state = read_state(tmp_path / "state")
    with FakeTensorMode(allow_non_fake_inputs=True):  # tensors without content, so that no GPU is needed
        there = torch.nn.Linear(2, 1, device="cuda")
        fused, plain = AdamW(there.parameters(), fused=True), AdamW(there.parameters())
        restore(state, {"model": there}, [fused])
        restore(state, {"model": there}, [plain])
    assert {values["step"].device.type for values in fused.state.values()} == {"cuda"}
    assert {values["step"].device.type for values in plain.state.values()} == {"cpu"}  # where torch wants it
