"""A disk that is full, in each stage: one sentence, the previous results as they were, and no temporary file."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import evaluate
import prepare
import train
from classifier.errors import run

import get_weights
import pytest

STAGES = {"prepare": prepare.main, "weights": get_weights.main, "train": train.main, "evaluate": evaluate.main}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes meanwhile, as on a disk with no more room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents() -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file() and ".resume" not in path.parts
    }


def temporary() -> list[Path]:
    return list(Path().rglob(".*.tmp"))


@pytest.fixture
def results(workspace, small_dataset, params) -> dict[str, bytes]:
    """A folder in which all stages have run, and what lies in it."""
    small_dataset("data")
    Path("params.yaml").write_text(params())
    for stage in STAGES.values():
        stage()
    return contents()


@pytest.mark.parametrize(
    ("stage", "size", "file"),
    [
        ("prepare", 5000, "prepared/train.safetensors"),
        ("weights", 10, "pretrained/weights.safetensors"),
        ("train", 100_000, ".resume/"),
        ("evaluate", 100, "predictions.csv"),
        ("evaluate", 2000, "plots/predictions.png"),
    ],
)
def test_a_full_disk_is_one_sentence_and_loses_nothing(results, stage, size, file):
    with files_of_at_most(size), pytest.raises(SystemExit) as exit:
        run(STAGES[stage])
    assert str(exit.value.code).startswith(f"error: {file}")
    assert "cannot be written: File too large" in exit.value.code
    assert "\n" not in exit.value.code
    assert temporary() == []
    assert contents() == results


def test_with_room_again_the_same_results_come_out(results):
    with files_of_at_most(5000), pytest.raises(SystemExit):
        run(prepare.main)
    for stage in STAGES.values():
        stage()
    assert contents() == results


def test_a_disk_that_fills_up_with_the_last_byte_leaves_the_previous_file(results, monkeypatch):
    def full(_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for stage in STAGES.values():
        with pytest.raises(SystemExit) as exit:
            run(stage)
        assert str(exit.value.code).endswith("cannot be written: No space left on device")
        assert temporary() == []
        assert contents() == results
