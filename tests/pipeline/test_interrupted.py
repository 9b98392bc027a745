"""`dvc repro` and DVC's experiments that are killed during training, and started again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.clones import Clone, copy_clone, once

import pytest

pytestmark = pytest.mark.slow


def train_longer(clone: Clone) -> Clone:
    """Set more epochs, so that a training is still at work when it is stopped after the first."""
    clone.edit("params.yaml", "epochs: 2", "epochs: 6")
    clone.commit("more epochs")
    return clone


@pytest.fixture
def own(own) -> Clone:
    return train_longer(own)


@pytest.fixture(scope="module")
def undisturbed(finished, tmp_path_factory) -> str:
    """What dvc.lock records of a run with seed 1 that nothing disturbs."""

    def build(folder: Path) -> None:
        clone = train_longer(copy_clone(finished, folder))
        clone.edit("params.yaml", "train:\n  seed: 0", "train:\n  seed: 1")
        clone.run("dvc", "repro")

    return lock(Clone(once(tmp_path_factory, "undisturbed", build) / "clone"))


def lock(clone: Clone) -> str:
    return (clone.path / "dvc.lock").read_text()


def stop_after_an_epoch(clone: Clone, *command: str) -> tuple[subprocess.Popen, int]:
    """Start a command that trains; when the first epoch is saved, stop the training. Returns DVC and its PID."""
    assert command[0] == "dvc"
    dvc = clone.start(str(Path(sys.executable).with_name("dvc")), *command[1:])  # no fork, to be killed itself
    state = clone.path / ".resume"
    while not list(state.glob("*.safetensors")):
        assert dvc.poll() is None, dvc.stdout.read()
        time.sleep(0.01)
    trainer = int(next(state.glob("*.lock")).read_text())
    os.kill(trainer, signal.SIGSTOP)
    return dvc, trainer


def kill_all(dvc: subprocess.Popen) -> None:
    os.killpg(dvc.pid, signal.SIGKILL)
    dvc.communicate()


def test_after_a_crash_of_everything_repro_goes_on(own, undisturbed):
    own.edit("params.yaml", "train:\n  seed: 0", "train:\n  seed: 1")
    dvc, _ = stop_after_an_epoch(own, "dvc", "repro")
    kill_all(dvc)
    assert "going on after epoch " in own.run("dvc", "repro")
    assert lock(own) == undisturbed


def test_after_a_crash_of_dvc_alone_a_second_training_refuses_and_names_the_first(own, undisturbed):
    own.edit("params.yaml", "train:\n  seed: 0", "train:\n  seed: 1")
    dvc, orphan = stop_after_an_epoch(own, "dvc", "repro")
    dvc.kill()
    dvc.wait()
    refused = own.run("dvc", "repro", check=False)
    assert f"another training, process {orphan}, is at work here: wait for its end, or stop it" in refused
    assert "ERROR: failed to reproduce 'train'" in refused
    os.kill(orphan, signal.SIGCONT)
    dvc.stdout.read()  # to the orphan's end
    own.run("dvc", "repro")
    assert lock(own) == undisturbed


def test_of_two_repros_at_once_one_refuses(own, undisturbed):
    own.edit("params.yaml", "train:\n  seed: 0", "train:\n  seed: 1")
    dvc, trainer = stop_after_an_epoch(own, "dvc", "repro")
    refused = own.run("dvc", "repro", check=False)
    assert "is busy" in refused or "Unable to acquire lock" in refused or "another training" in refused
    assert "ERROR" in refused
    os.kill(trainer, signal.SIGCONT)
    dvc.communicate()
    assert dvc.returncode == 0
    assert lock(own) == undisturbed


@pytest.mark.parametrize("where", [["--temp"], []], ids=["temporary folder", "workspace"])
def test_a_crashed_experiment_goes_on_when_it_is_run_again(own, undisturbed, where):
    command = ["dvc", "exp", "run", *where, "--name", "killed", "-S", "train.seed=1"]
    dvc, _ = stop_after_an_epoch(own, *command)
    kill_all(dvc)
    assert "going on after epoch " in own.run(*command, "--force")
    own.run("dvc", "exp", "apply", "killed")
    assert lock(own) == undisturbed
    assert not any((own.path / ".resume").iterdir())


def test_a_killed_queue_task_goes_on_when_it_is_queued_again(own, undisturbed):
    def queue() -> list[str]:
        own.run("dvc", "exp", "run", "--queue", "--name", "queued", "--force", "-S", "train.seed=1")
        return ["dvc", "exp", "run", "--run-all"]

    dvc, trainer = stop_after_an_epoch(own, *queue())
    os.kill(trainer, signal.SIGKILL)
    dvc.communicate()
    output = own.run(*queue())
    assert "going on after epoch " in output
    own.run("dvc", "exp", "apply", "queued")
    assert lock(own) == undisturbed


def test_other_parameters_after_a_crash_start_afresh(own):
    own.edit("params.yaml", "train:\n  seed: 0", "train:\n  seed: 1")
    dvc, _ = stop_after_an_epoch(own, "dvc", "repro")
    kill_all(dvc)
    own.edit("params.yaml", "label_smoothing: 0.2", "label_smoothing: 0.1")
    assert "going on" not in own.run("dvc", "repro")
    afresh = lock(own)
    own.run("dvc", "repro", "--force", "--single-item", "train")
    assert lock(own) == afresh
