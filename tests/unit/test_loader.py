"""A prepared split as rows of its file and as a source of batches."""

import hashlib
import json
import sys
import threading
from pathlib import Path

import prepare
from classifier.data import loader, rows
from classifier.data.description import load_description
from classifier.data.loader import PLACES, choose_place, free_memory, open_source
from classifier.data.prepared import map_split, split_path
from classifier.errors import InputError

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

CPU = torch.device("cpu")


@pytest.fixture
def prepared(workspace, small_dataset, params, monkeypatch):
    monkeypatch.setattr(rows, "BLOCK", 5 * 3 * 16**2)  # bytes of five images
    small_dataset("data")
    Path("params.yaml").write_text(params())
    prepare.main()
    return load_description()


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_rows_and_labels_are_what_the_safetensors_library_reads(prepared, split):
    mapped, read = map_split(split, prepared), load_file(split_path(split))
    assert np.array_equal(mapped.images[:], read["images"])
    assert np.array_equal(mapped.labels, read["labels"])
    assert (mapped.images[:].dtype, mapped.labels.dtype) == (np.uint8, np.int64)
    assert (mapped.images.shape, mapped.images.nbytes) == (read["images"].shape, read["images"].nbytes)


@pytest.mark.parametrize(
    "key", [0, 17, -1, np.int64(3), slice(4, 9), slice(None, None, 7), slice(9, 2), [4, 4, 0, 17, 5], []]
)
def test_rows_are_indexed_as_an_array_is(prepared, key):
    read = load_file(split_path("train"))["images"]
    key = np.array(key, dtype=int) if isinstance(key, list) else key
    assert np.array_equal(map_split("train", prepared).images[key], read[key])
    with pytest.raises(IndexError):
        map_split("train", prepared).images[18]


@pytest.mark.skipif(sys.platform != "linux", reason="nothing tells what is in memory")
def test_rows_that_were_read_leave_the_memory_of_the_process(prepared):
    images = map_split("train", prepared).images
    images[:]
    mapped = Path("/proc/self/smaps").read_text().partition(str(split_path("train").resolve()))[2]
    assert int(mapped.partition("Rss:")[2].split()[0]) * 1024 < images.nbytes / 2


@pytest.mark.parametrize("place", PLACES)
def test_batches_are_the_images_asked_for_and_in_order_all_of_them(prepared, monkeypatch, place):
    monkeypatch.setenv("SPLITS", place)
    source, images = open_source("train", prepared, CPU), load_file(split_path("train"))["images"]
    indices = [torch.tensor([5, 0, 5]), torch.tensor([3]), torch.tensor([17, 16]), torch.tensor([2]), torch.tensor([1])]
    batches = list(source.batches(indices))  # kept: none is written over by a later one
    for chosen, batch in zip(indices, batches, strict=True):
        assert np.array_equal(batch.numpy(), images[chosen.numpy()])
    in_order = list(source.in_order(7))
    assert {len(batch) for batch in in_order[:-1]} == {7}
    assert np.array_equal(torch.cat(in_order).numpy(), images)


def test_batches_are_read_ahead_but_not_far(prepared, monkeypatch):
    monkeypatch.setenv("SPLITS", "disk")
    source = open_source("train", prepared, CPU)
    read, others = [], set(threading.enumerate())
    monkeypatch.setattr(rows.Rows, "read", lambda self, chosen, out: read.append(int(chosen[0])))
    batches = source.batches([torch.tensor([i]) for i in range(10)])
    next(batches)
    batches.close()
    assert read == [0, 1, 2]
    assert set(threading.enumerate()) <= others


# Digests


def flip_a_bit(split: str, row: int) -> None:
    """In an image of a split of 16-pixel images."""
    path = split_path(split)
    content = bytearray(path.read_bytes())
    content[(row - load_description().splits[split]["count"]) * 3 * 16**2] ^= 1
    path.write_bytes(content)


def test_a_block_is_checked_when_a_row_of_it_is_first_read_and_only_then(prepared, monkeypatch):
    flip_a_bit("train", 7)
    images = map_split("train", prepared).images
    images[[0, 4, 10, 17]]
    for wanted in (7, 5, slice(9, 12), np.array([0, 6])):
        with pytest.raises(InputError, match=r"train\.safetensors is not the file that was prepared: images 5 to 9"):
            images[wanted]
    hashed = []
    monkeypatch.setattr(rows.hashlib, "sha256", lambda content: hashed.append(content))
    images[[0, 4, 10, 17]]
    assert hashed == [], "nothing is hashed twice"


@pytest.mark.parametrize("place", PLACES)
def test_a_flipped_bit_reaches_no_batch(prepared, monkeypatch, place):
    flip_a_bit("val", 3)
    monkeypatch.setenv("SPLITS", place)
    with pytest.raises(InputError, match=r"prepared/val\.safetensors is not the file that was prepared"):
        list(open_source("val", prepared, CPU).in_order(2))


def test_another_label_is_refused_before_any_image_is_read(prepared):
    path = split_path("val")
    content = bytearray(path.read_bytes())
    content[-6 * 3 * 16**2 - 8] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"prepared/val\.safetensors is not the file that"):
        map_split("val", prepared)


def test_a_description_without_digests_of_blocks_is_of_another_version(prepared):
    text = Path("prepared/dataset.json").read_text()
    Path("prepared/dataset.json").write_text(text.replace('"blocks"', '"blocs"', 1))
    with pytest.raises(InputError, match=r"has no 'blocks': another version of prepare\.py wrote it"):
        load_description()


LIES = {
    "count": lambda d: d["splits"]["val"].update(count=5),
    "per_class": lambda d: d["splits"]["val"].update(per_class={"cat": 3, "dog": 2, "frog": 1}),
    "per_class in another order": lambda d: d["splits"]["val"].update(per_class={"dog": 2, "cat": 2, "frog": 2}),
    "per_class of fractions": lambda d: d["splits"]["val"].update(per_class={"cat": 2.0, "dog": 2, "frog": 2}),
    "a digest": lambda d: d["splits"]["val"].update(head="0" * 64),
    "a digest that is none": lambda d: d["splits"]["val"].update(head="x"),
    "the digest of nothing": lambda d: d["splits"]["val"].update(head=hashlib.sha256(b"").hexdigest()),
    "blocks": lambda d: d["splits"]["val"].update(blocks=[]),
    "a class": lambda d: d.update(classes=["cat", "dog", "horse"]),
    "a class twice": lambda d: d.update(classes=["cat", "dog", "dog"]),
    "the size": lambda d: d.update(image_size=15),
    "the fit": lambda d: d.update(fit="stretch"),
    "the mean": lambda d: d.update(mean=[0.5, 0.5]),
    "the std": lambda d: d.update(std=[0.5, 0.5, 0.0]),
    "a split": lambda d: d["splits"].pop("test"),
    "its type": lambda d: d.update(splits=[]),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_description_that_lies_is_refused(prepared, lie):
    path = Path("prepared/dataset.json")
    document = json.loads(path.read_text())
    LIES[lie](document)
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"dataset\.json (is damaged|describes)"):
        map_split("val", load_description())


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
    assert mapped.images[:].shape == read["images"].shape == (0, 3, 16, 16)
    assert mapped.labels.shape == read["labels"].shape == (0,)
    assert (mapped.images[:].dtype, mapped.labels.dtype) == (np.uint8, np.int64)
    split_path("test").write_bytes(split_path("test").read_bytes()[:-1])
    with pytest.raises(InputError, match=r"prepared/test\.safetensors is not the file that"):
        map_split("test", load_description())


def test_a_missing_split_is_named(prepared):
    split_path("val").unlink()
    with pytest.raises(InputError, match=r"prepared/val\.safetensors not found"):
        map_split("val", prepared)


# Where a split lies


def test_a_split_lies_where_there_is_room(monkeypatch):
    free = {"cpu": 100, "cuda": 50}
    monkeypatch.delenv("SPLITS", raising=False)
    monkeypatch.setattr(loader, "free_memory", lambda device: free[device.type])
    gpu = torch.device("cuda")
    assert [choose_place("train", n, gpu) for n in (25, 26, 50, 51)] == ["device", "memory", "memory", "disk"]
    assert [choose_place("train", n, CPU) for n in (50, 51)] == ["device", "disk"]


@pytest.mark.parametrize(("place", "where"), [("device", "cpu"), ("memory", "memory")])
def test_a_place_that_is_too_small_is_refused_with_its_size_before_the_split_is_read(
    prepared, monkeypatch, place, where
):
    monkeypatch.setattr(loader, "free_memory", lambda device: 1000)
    monkeypatch.setenv("SPLITS", place)
    with pytest.raises(InputError, match=rf"train\.safetensors is 0\.0 GB once loaded, and {where} has 0\.0 GB free"):
        open_source("train", prepared, CPU)


def test_another_place_is_refused(prepared, monkeypatch):
    monkeypatch.setenv("SPLITS", "cloud")
    with pytest.raises(InputError, match="SPLITS=cloud is no place for the splits: take device, memory, disk"):
        open_source("train", prepared, CPU)


def test_free_memory_is_a_part_of_what_the_machine_has():
    assert 1 << 20 < free_memory(CPU) < 1 << 50
