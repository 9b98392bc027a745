"""scripts/unpack.py: folders hold what shards and CIFAR's files held."""

import sys
from pathlib import Path

from classifier.data.images import decode
from classifier.data.layouts import Sample, open_dataset
from classifier.errors import InputError

import numpy as np
import pack
import pytest
import unpack


@pytest.fixture
def run_unpack(workspace, monkeypatch):
    """A function: run unpack.py with these arguments."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["unpack.py", *map(str, arguments)])
        unpack.main()

    return run


def contents(root: Path | str) -> dict[str, list]:
    """Class and image bytes of each split, sorted."""
    dataset = open_dataset(root)
    return {
        name: sorted((dataset.classes[sample.label], sample.image) for sample in split.samples())
        for name, split in dataset.splits.items()
    }


@pytest.fixture
def packed(small_dataset):
    """Shards with the splits train, val and test, and the folders that they were packed from."""
    root = small_dataset(val=2)
    dataset = open_dataset(root)
    for name, split in dataset.splits.items():
        pack.write_shards(split, Path("packed"), pack.SPLIT_NAMES[name], dataset.classes)
    return root


def test_what_was_packed_comes_out_the_same(run_unpack, packed):
    run_unpack("packed", "out")
    assert contents("out") == contents(packed)
    assert all(path.suffix == ".png" for path in Path("out").glob("*/*/*"))


def test_pixels_become_files_that_hold_them():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    name, content = unpack.unpack(Sample("data_batch_1/toad_s_1.png", 3, pixels))
    assert name == "data_batch_1-toad_s_1.png"
    assert np.array_equal(decode(content, 32).transpose(1, 2, 0), pixels)


def test_folders_need_no_unpacking(run_unpack, packed):
    with pytest.raises(InputError, match="image folders already"):
        run_unpack(packed, "out")


def test_nothing_is_unpacked_beside_other_files(run_unpack, packed):
    Path("out").mkdir()
    Path("out/file").touch()
    with pytest.raises(InputError, match="already holds something"):
        run_unpack("packed", "out")


def test_a_class_that_no_folder_can_be_called_is_refused(run_unpack, packed, small_dataset):
    dataset = open_dataset(packed)
    pack.write_shards(dataset.splits["train"], Path("slash"), "train", ["cat", "dog", "n/a"])
    with pytest.raises(InputError, match="'n/a', which no folder"):
        run_unpack("slash", "out")


def test_what_is_no_image_is_named():
    with pytest.raises(InputError, match=r"train\.parquet#3 is no image"):
        unpack.unpack(Sample("train.parquet#3", 0, b"text"))
