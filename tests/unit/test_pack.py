"""scripts/pack.py: shards hold what the folders held."""

import sys
from pathlib import Path

import prepare
from classifier.data.layouts import open_dataset
from classifier.errors import InputError

import numpy as np
import pack
import pyarrow.parquet
import pytest
import safetensors.numpy


@pytest.fixture
def run_pack(workspace, monkeypatch):
    """A function: run pack.py with these arguments."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["pack.py", *map(str, arguments)])
        pack.main()

    return run


def contents(root: Path) -> dict[str, list]:
    """Labels and image bytes of each split, in order."""
    splits = open_dataset(root).splits
    return {name: [(sample.label, sample.image) for sample in split.samples()] for name, split in splits.items()}


def test_shards_hold_the_same_bytes_labels_and_classes(run_pack, small_dataset):
    root = small_dataset(val=2)
    run_pack(root, "packed")
    assert contents(Path("packed")) == contents(root)
    assert open_dataset("packed").classes == open_dataset(root).classes
    assert sorted(path.name for path in Path("packed").iterdir()) == [
        "test-00000-of-00001.parquet",
        "train-00000-of-00001.parquet",
        "validation-00000-of-00001.parquet",
    ]


def test_prepare_makes_the_same_tensors_of_shards_and_of_folders(run_pack, small_dataset, params):
    Path("params.yaml").write_text(params())
    small_dataset(val=2)
    prepare.main()
    expected = {s: safetensors.numpy.load_file(f"prepared/{s}.safetensors") for s in ("train", "val", "test")}
    run_pack("data", "packed")
    Path("data").rename("folders")
    Path("packed").rename("data")
    prepare.main()
    for split, tensors in expected.items():
        packed = safetensors.numpy.load_file(f"prepared/{split}.safetensors")
        assert np.array_equal(packed["images"], tensors["images"])
        assert np.array_equal(packed["labels"], tensors["labels"])


@pytest.mark.parametrize("shard_bytes", [3_000, 700])
def test_large_splits_are_spread_over_several_shards(run_pack, small_dataset, monkeypatch, capsys, shard_bytes):
    root = small_dataset(train=7)
    monkeypatch.setattr(pack, "SHARD_BYTES", shard_bytes)
    monkeypatch.setattr(pack, "ROWS_AT_ONCE", 2)
    run_pack(root, "packed")
    assert len(list(Path("packed").glob("train-*.parquet"))) > 3
    assert contents(Path("packed")) == contents(root)
    rows = [pyarrow.parquet.ParquetFile(p).metadata.num_rows for p in sorted(Path("packed").glob("train-*"))]
    assert sum(rows) == 21
    assert "-1 images" not in capsys.readouterr().out


def test_packing_twice_gives_the_same_bytes(run_pack, small_dataset):
    root = small_dataset()
    run_pack(root, "first")
    run_pack(root, "second")
    for path in Path("first").iterdir():
        assert path.read_bytes() == Path("second", path.name).read_bytes()


def test_a_folder_that_holds_something_is_not_written_to(run_pack, small_dataset):
    root = small_dataset()
    Path("packed").mkdir()
    Path("packed/notes.txt").write_text("mine")
    with pytest.raises(InputError, match="already holds something"):
        run_pack(root, "packed")
    assert [path.name for path in Path("packed").iterdir()] == ["notes.txt"]


def test_a_folder_without_train_is_refused(run_pack):
    with pytest.raises(InputError, match="my-images/train/ not found"):
        run_pack("my-images", "packed")
    assert not Path("packed").exists()


def test_an_archive_that_would_be_a_split_is_refused(run_pack, small_dataset):
    root = small_dataset()
    (root / "val.zip").write_bytes(b"any")
    with pytest.raises(InputError, match=r"val\.zip would be passed over"):
        run_pack(root, "packed")
    assert not Path("packed").exists()


def test_class_folders_that_differ_between_splits_are_refused(run_pack, small_dataset):
    root = small_dataset()
    (root / "test/frog").rename(root / "test/toad")
    with pytest.raises(InputError, match=r"missing in test: \['frog'\]"):
        run_pack(root, "packed")
    assert not Path("packed").exists()
