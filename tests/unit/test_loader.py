"""A prepared split as mapped arrays and as a source of batches."""

from pathlib import Path

import prepare
from classifier.data import loader
from classifier.data.loader import open_source
from classifier.data.prepared import load_description, map_split, split_path
from classifier.errors import InputError

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file


@pytest.fixture
def prepared(workspace, small_dataset, params):
    small_dataset("data")
    Path("params.yaml").write_text(params())
    prepare.main()
    return load_description()


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_mapped_arrays_are_what_the_safetensors_library_reads(prepared, split):
    mapped, read = map_split(split, prepared), load_file(split_path(split))
    assert np.array_equal(mapped.images, read["images"])
    assert np.array_equal(mapped.labels, read["labels"])
    assert (mapped.images.dtype, mapped.labels.dtype) == (np.uint8, np.int64)
    assert isinstance(mapped.images, np.memmap)
    assert not mapped.images.flags.writeable


def test_batches_are_the_images_asked_for_and_in_order_all_of_them(prepared):
    source, images = open_source("train", prepared, torch.device("cpu")), map_split("train").images
    indices = [torch.tensor([5, 0, 5]), torch.tensor([3])]
    for chosen, batch in zip(indices, source.batches(indices), strict=True):
        assert np.array_equal(batch.numpy(), images[chosen.numpy()])
    in_order = list(source.in_order(7))
    assert {len(batch) for batch in in_order[:-1]} == {7}
    assert np.array_equal(torch.cat(in_order).numpy(), images)


@pytest.mark.parametrize("damage", ["truncated", "empty", "header"])
def test_a_damaged_split_is_named(prepared, damage):
    path = split_path("test")
    content = path.read_bytes()
    path.write_bytes({"truncated": content[:-1], "empty": b"", "header": content[:8] + b"x" + content[9:]}[damage])
    with pytest.raises(InputError, match=r"prepared/test\.safetensors is not the file that"):
        map_split("test", prepared)
    with pytest.raises(InputError, match=r"prepared/test\.safetensors is damaged"):
        map_split("test")


def test_a_split_of_no_images_is_arrays_without_rows(workspace, small_dataset, params):
    small_dataset("data", test=0)
    Path("params.yaml").write_text(params({"prepare.test_fraction": 0}))
    prepare.main()
    mapped, read = map_split("test", load_description()), load_file(split_path("test"))
    assert mapped.images.shape == read["images"].shape == (0, 3, 16, 16)
    assert mapped.labels.shape == read["labels"].shape == (0,)
    assert (mapped.images.dtype, mapped.labels.dtype) == (np.uint8, np.int64)
    split_path("test").write_bytes(split_path("test").read_bytes()[:-1])
    with pytest.raises(InputError, match=r"prepared/test\.safetensors is not the file that"):
        map_split("test", load_description())


def test_a_missing_split_is_named(prepared):
    split_path("val").unlink()
    with pytest.raises(InputError, match=r"prepared/val\.safetensors not found"):
        map_split("val", prepared)


def test_a_split_larger_than_memory_is_refused_with_its_size_before_it_is_read(prepared, monkeypatch):
    monkeypatch.setattr(loader, "memory", lambda device: 1000)
    with pytest.raises(InputError, match=r"prepared/train\.safetensors is 0\.0 GB once loaded, and cpu has 0\.0 GB"):
        open_source("train", prepared, torch.device("cpu"))
