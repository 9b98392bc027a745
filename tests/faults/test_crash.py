"""A training that is killed, wherever, ends with the bytes of one that was not."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.clones import Clone
from tests.faults.conftest import RESULTS, copy_code, remove_results, results

import pytest

pytestmark = pytest.mark.slow

EPOCHS = 4
PARAMS = {"train.epochs": EPOCHS, "train.batch_size": 4, "train.augment": {"RandomErasing": {"p": 1.0}}}
IMAGES = {"train": 40, "test": 4}
STEPS = round(3 * 40 * 0.75 / 4)  # of an epoch: a quarter of the 120 images is held out

HERE = Path(__file__).parent
KILLED_AT_RENAME = [str(HERE / "killed_at_rename.py"), str(int(signal.SIGKILL))]
RENAMES = EPOCHS + 2  # the state after each epoch, the history, the checkpoint


@pytest.fixture
def uninterrupted(training, cache) -> dict[str, bytes]:
    """What a training that nothing disturbs writes."""
    if not cache:
        assert train().returncode == 0
        cache.update(results())
        remove_results()
    return cache


def train(*runner: str, **environment: str) -> subprocess.CompletedProcess:
    """Run train.py here, in a fork of the warm process, which signals and limits meet as they do any other."""
    process = Clone(Path.cwd(), environment).start("python", *runner, "train.py")
    output, _ = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output)


@pytest.mark.parametrize("rename", range(1, RENAMES + 1))
def test_killed_while_saving(uninterrupted, rename):
    killed = train(*KILLED_AT_RENAME, str(rename))
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    assert not Path(RESULTS[0]).exists()
    again = train()
    assert again.returncode == 0, again.stdout
    whole_epochs = min(rename - 1, EPOCHS)
    assert (f"going on after epoch {whole_epochs}," in again.stdout) == (whole_epochs > 0)
    assert results() == uninterrupted
    assert not list(Path(".resume").glob("*.safetensors"))


@pytest.mark.parametrize("step", [1, 2, STEPS + 1, EPOCHS * STEPS - 1])
def test_killed_within_an_epoch(uninterrupted, step):
    killed = train(
        *KILLED_AT_RENAME, str(step + 1), SAVE_EVERY="0"
    )  # each step saves its state, the next one is killed
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    epoch, within = divmod(step, STEPS)
    again = train()
    assert f"going on after step {within} of epoch {epoch + 1}, where" in again.stdout
    assert results() == uninterrupted
    assert not list(Path(".resume").glob("*.safetensors"))


def test_killed_in_every_epoch(uninterrupted):
    for _ in range(EPOCHS):
        killed = train(*KILLED_AT_RENAME, "2")  # the first saves the state of one more epoch
        assert killed.returncode == -signal.SIGKILL, killed.stdout
    assert train().returncode == 0
    assert results() == uninterrupted


def test_killed_at_any_moment(uninterrupted):
    moments = random.Random(0)
    for _ in range(6):
        with Clone(Path.cwd(), {"PYTHONUNBUFFERED": "1"}).start("python", "train.py") as process:
            assert any(line.startswith("training ") for line in process.stdout)
            time.sleep(moments.uniform(0, 3))
            process.kill()
            process.stdout.read()  # to its end: the fork is dead, too
        remove_results()  # of a run that was quicker than its killer
        assert train().returncode == 0
        assert results() == uninterrupted
        remove_results()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_signal_leaves_a_sentence_and_no_partial_output(uninterrupted, number):
    stopped = train(KILLED_AT_RENAME[0], str(int(number)), "3")
    assert stopped.returncode != 0
    assert "interrupted in epoch 3: the same command goes on from the last saved state." in stopped.stdout
    assert "Traceback" not in stopped.stdout
    assert not list(Path.cwd().rglob(".*.tmp"))
    assert not Path(RESULTS[0]).exists()
    again = train()
    assert "going on after epoch 2," in again.stdout
    assert results() == uninterrupted


def test_a_second_trainer_refuses_at_once_and_the_first_is_undisturbed(uninterrupted):
    with subprocess.Popen([sys.executable, "-u", "train.py"], stdout=subprocess.PIPE, text=True) as first:
        assert any(line.startswith("training ") for line in first.stdout)
        os.kill(first.pid, signal.SIGSTOP)  # so that it cannot end before the second one starts
        time.sleep(0.5)
        second = train()
        os.kill(first.pid, signal.SIGCONT)
        first.stdout.read()
    assert second.returncode != 0
    assert f"another training, process {first.pid}, is at work here" in second.stdout
    assert first.returncode == 0
    assert results() == uninterrupted


def test_a_full_disk_keeps_the_previous_checkpoint_and_leaves_no_temporary_file(uninterrupted):
    Path("models").mkdir(exist_ok=True)
    Path(RESULTS[0]).write_bytes(b"previous")
    full = subprocess.run(
        [sys.executable, "train.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert full.returncode != 0
    assert "cannot be written: File too large" in full.stdout
    assert "Traceback" not in full.stdout
    assert Path(RESULTS[0]).read_bytes() == b"previous"
    assert not list(Path.cwd().rglob(".*.tmp"))


# Mutants: what each of these tests guards is really what they see.


@pytest.fixture
def mutate(training, tmp_path, monkeypatch):
    """A function: go to a copy of the folder whose code has `new` in place of `old`."""

    def to(file: str, old: str, new: str) -> None:
        copy_code(tmp_path)
        shutil.copytree(training / "prepared", tmp_path / "prepared")
        shutil.copy(training / "params.yaml", tmp_path)
        text = (tmp_path / file).read_text()
        assert old in text
        (tmp_path / file).write_text(text.replace(old, new))
        monkeypatch.chdir(tmp_path)

    return to


def test_mutant_without_reseeding_goes_on_with_other_bits(mutate):
    mutate("classifier/training/loop.py", "self.reseed(epoch, step + 1)", "pass")
    train()
    whole = results()
    train(*KILLED_AT_RENAME, "3")
    train()
    assert results() != whole


def test_mutant_that_forgets_what_an_epoch_has_begun_ends_with_other_bits(mutate):
    mutate("classifier/training/loop.py", "first = self.steps(data), parts.begun.steps", "first = self.steps(data), 0")
    train()
    whole = results()
    train(*KILLED_AT_RENAME, "3", SAVE_EVERY="0")
    train()
    assert results() != whole


def test_mutant_without_atomic_rename_leaves_half_a_state(mutate):
    mutate("classifier/files.py", 'path.with_name(f".{path.name}.tmp")', "path")
    full = train(str(HERE / "killed_in_write.py"))
    assert full.returncode == -signal.SIGXFSZ, full.stdout
    assert "starting afresh" in train().stdout
