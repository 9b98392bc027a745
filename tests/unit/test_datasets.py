"""The layouts that data/ may have: what is recognised, skipped and refused."""

import json
import os
import pickle
import shutil

from classifier.data.layouts import open_dataset
from classifier.errors import InputError

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

NAMES = ["cat", "dog", "frog"]


def listing(dataset, split: str) -> list[tuple[str, int]]:
    return [(sample.path, sample.label) for sample in dataset.splits[split].samples()]


def refused(root) -> str:
    """The message with which the dataset is refused, on opening or on reading it."""
    with pytest.raises(InputError) as error:
        dataset = open_dataset(root)
        for split in dataset.splits.values():
            list(split.samples())
    return str(error.value)


# What every layout has in common


def test_a_missing_folder_is_refused_with_ways_to_get_data(tmp_path):
    assert "make data" in refused(tmp_path / "data")


def test_a_folder_of_no_known_layout_is_refused_with_the_known_ones(tmp_path):
    (tmp_path / "cats").mkdir()
    assert "train/<class>/" in refused(tmp_path)


def test_samples_can_be_read_again_in_the_same_order(small_dataset):
    split = open_dataset(small_dataset()).splits["train"]
    assert list(split.samples()) == list(split.samples())


# CIFAR


def write_cifar10(root, **changes):
    """Six batch files of two images each, and batches.meta, as torchvision unpacks them. Returns the pixels."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    pixels = {}
    for i, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        data = np.random.default_rng(i).integers(0, 256, (2, 3072), dtype=np.uint8)
        labels = [i % 3, (i + 1) % 3]
        batch = {b"data": data, b"labels": labels, b"filenames": [b"first.png", b"second.png"], b"batch_label": b"x"}
        (folder / name).write_bytes(pickle.dumps(batch | changes.get(name, {}), protocol=2))
        pixels[name] = data.reshape(2, 3, 32, 32).transpose(0, 2, 3, 1)
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [n.encode() for n in NAMES]}, protocol=2))
    return pixels


def test_cifar10_is_recognised_and_its_pixels_and_labels_read(tmp_path):
    pixels = write_cifar10(tmp_path)
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.classes) == ("CIFAR-10", NAMES)
    assert {name: split.count for name, split in dataset.splits.items()} == {"train": 10, "test": 2}
    samples = list(dataset.splits["train"].samples())
    assert [s.label for s in samples] == [0, 1, 1, 2, 2, 0, 0, 1, 1, 2]
    assert [s.path for s in samples[:3]] == [
        "data_batch_1/first.png",
        "data_batch_1/second.png",
        "data_batch_2/first.png",
    ]
    assert np.array_equal(samples[3].image, pixels["data_batch_2"][1])
    assert np.array_equal(next(dataset.splits["test"].samples()).image, pixels["test_batch"][0])


def test_cifar100_is_recognised_and_has_the_fine_labels(tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, count in (("train", 4), ("test", 2)):
        batch = {
            b"data": np.zeros((count, 3072), dtype=np.uint8),
            b"fine_labels": [2, 1, 0, 2][:count],
            b"coarse_labels": [0] * count,
            b"filenames": [f"{i}.png".encode() for i in range(count)],
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    names = {b"fine_label_names": [n.encode() for n in NAMES], b"coarse_label_names": [b"animal"]}
    (folder / "meta").write_bytes(pickle.dumps(names, protocol=2))
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.classes) == ("CIFAR-100", NAMES)
    assert listing(dataset, "train") == [("train/0.png", 2), ("train/1.png", 1), ("train/2.png", 0), ("train/3.png", 2)]
    assert dataset.splits["test"].count == 2


class Canary:
    """Unpickled without care, it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("file", ["data_batch_1", "test_batch", "batches.meta"])
def test_a_malicious_cifar_file_is_refused_and_its_code_not_run(tmp_path, file):
    write_cifar10(tmp_path)
    malicious = pickle.dumps({b"labels": [0], b"data": Canary(tmp_path / "canary")}, protocol=2)
    (tmp_path / "cifar-10-batches-py" / file).write_bytes(malicious)
    assert file in refused(tmp_path)
    assert not (tmp_path / "canary").exists()
    pickle.loads(malicious)
    assert (tmp_path / "canary").exists(), "the attack works, where it is let in"


@pytest.mark.parametrize("file", ["data_batch_3", "batches.meta"])
def test_a_missing_cifar_file_is_named(tmp_path, file):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / file).unlink()
    assert f"{file} is missing" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2])[:-3], pickle.dumps([1, 2])])
def test_a_damaged_cifar_file_is_named(tmp_path, content):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(content)
    assert "data_batch_2 is not a CIFAR file" in refused(tmp_path)


@pytest.mark.parametrize("content", [{b"images": []}, {b"data": np.zeros(3, dtype=np.uint8), b"labels": [0]}])
def test_a_cifar_file_with_other_contents_is_named(tmp_path, content):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps(content))
    assert "data_batch_2" in refused(tmp_path)


# Image folders


def test_image_folders_are_recognised_with_classes_in_alphabetical_order(small_dataset):
    dataset = open_dataset(small_dataset(train=2, test=1))
    assert (dataset.layout, dataset.classes) == ("image folders", NAMES)
    assert listing(dataset, "test") == [("test/cat/000.png", 0), ("test/dog/000.png", 1), ("test/frog/000.png", 2)]
    assert dataset.splits["train"].count == 6


def test_val_folders_are_a_split_of_their_own(small_dataset):
    dataset = open_dataset(small_dataset(train=2, val=1, test=1))
    assert listing(dataset, "val") == [("val/cat/000.png", 0), ("val/dog/000.png", 1), ("val/frog/000.png", 2)]


def test_images_in_folders_below_a_class_belong_to_it(small_dataset):
    root = small_dataset(train=1)
    (root / "train/dog/2024/june").mkdir(parents=True)
    (root / "train/dog/000.png").rename(root / "train/dog/2024/june/a.PNG")
    assert ("train/dog/2024/june/a.PNG", 1) in listing(open_dataset(root), "train")


def test_a_class_folder_missing_from_one_split_is_named(small_dataset):
    root = small_dataset()
    shutil.rmtree(root / "test/dog")
    assert "missing in test: ['dog'], only in test: none" in refused(root)


def test_a_class_folder_in_one_split_alone_is_named(small_dataset):
    root = small_dataset()
    (root / "test/horse").mkdir()
    assert "missing in test: none, only in test: ['horse']" in refused(root)


def test_a_class_folder_renamed_in_one_split_is_named(small_dataset):
    root = small_dataset(val=1)
    (root / "val/frog").rename(root / "val/Frog")
    assert "missing in val: ['frog'], only in val: ['Frog']" in refused(root)


def test_a_train_folder_without_class_folders_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "0001.png").write_bytes(b"")
    assert "train" in refused(tmp_path)


def test_hidden_files_and_folders_are_ignored(small_dataset):
    root = small_dataset(train=1, test=1)
    before = listing(open_dataset(root), "train")
    for hidden in ("train/.DS_Store", "train/cat/.000.png", "train/cat/.thumbs/a.png", "train/.ipynb/a.png"):
        (root / hidden).parent.mkdir(exist_ok=True)
        (root / hidden).write_bytes(b"")
    (root / "train/cat/Thumbs.db").write_bytes(b"")
    dataset = open_dataset(root)
    assert dataset.classes == NAMES
    assert listing(dataset, "train") == before


def test_files_that_are_no_images_are_skipped_with_a_note(small_dataset, capsys):
    root = small_dataset(train=1, test=1)
    (root / "train/cat/notes.txt").write_text("cats")
    assert listing(open_dataset(root), "train") == [
        ("train/cat/000.png", 0),
        ("train/dog/000.png", 1),
        ("train/frog/000.png", 2),
    ]
    assert "ignored 1 file(s)" in (note := capsys.readouterr().out)
    assert "notes.txt" in note


def test_a_link_to_a_file_outside_the_dataset_is_refused(small_dataset, tmp_path):
    root = small_dataset()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (root / "train/cat/999.png").symlink_to(tmp_path / "secret.png")
    assert "999.png is a link that leaves the dataset" in refused(root)


def test_a_pipe_is_refused_and_not_waited_for(small_dataset):
    root = small_dataset()
    os.mkfifo(root / "train/cat/999.png")
    assert "999.png" in refused(root)


@pytest.mark.parametrize("link", ["train/cat/more", "train/cat", "train"])
def test_a_link_to_a_folder_outside_the_dataset_is_refused(small_dataset, tmp_path, link):
    root = small_dataset()
    outside = tmp_path / "outside"
    if (root / link).exists():
        (root / link).rename(outside)
    else:
        outside.mkdir()
    (root / link).symlink_to(outside)
    assert "is a link that leaves the dataset" in refused(root)


def test_a_link_inside_the_dataset_is_followed(small_dataset):
    root = small_dataset(train=1)
    (root / "train/cat/again.png").symlink_to(root / "train/cat/000.png")
    assert ("train/cat/again.png", 0) in listing(open_dataset(root), "train")


def test_a_link_into_the_cache_of_dvc_is_followed(small_dataset, tmp_path):
    root = small_dataset(train=1)
    cached = tmp_path / ".dvc/cache/files/md5/ab" / ("0" * 30)
    cached.parent.mkdir(parents=True)
    (root / "train/cat/000.png").rename(cached)
    (root / "train/cat/000.png").symlink_to(cached)
    sample = next(open_dataset(root).splits["train"].samples())
    assert (sample.path, sample.image) == ("train/cat/000.png", cached.read_bytes())


def test_a_link_to_nothing_is_refused(small_dataset):
    root = small_dataset(train=1)
    (root / "train/cat/lost.png").symlink_to(root / "train/cat/gone.png")
    assert "lost.png" in refused(root)


# Parquet shards

FEATURES = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}


def write_shard(path, labels, features=FEATURES, images=None, metadata=None):
    """A shard in the form that the `datasets` library writes, of one-byte "images"."""
    images = images or [{"bytes": bytes([i]), "path": f"{i}.png"} for i in range(len(labels))]
    columns = {name: images if f["_type"] == "Image" else labels for name, f in features.items()}
    table = pyarrow.table(columns)
    if metadata is None:
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path)


@pytest.mark.parametrize("folder", ["", "plain_text"])
def test_parquet_shards_are_recognised_also_one_folder_down(tmp_path, folder):
    write_shard(tmp_path / folder / "train-00000-of-00002.parquet", [0, 1, 2])
    write_shard(tmp_path / folder / "train-00001-of-00002.parquet", [2])
    write_shard(tmp_path / folder / "validation-00000-of-00001.parquet", [1])
    write_shard(tmp_path / folder / "test-00000-of-00001.parquet", [0, 2])
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.classes) == ("parquet shards", NAMES)
    assert {name: split.count for name, split in dataset.splits.items()} == {"train": 4, "val": 1, "test": 2}
    samples = list(dataset.splits["train"].samples())
    assert [s.label for s in samples] == [0, 1, 2, 2]
    assert [s.image for s in samples] == [b"\0", b"\1", b"\2", b"\0"]
    assert samples[3].path.endswith("train-00001-of-00002.parquet#0")
    assert len({s.path for s in samples}) == 4


def test_the_column_called_label_wins_over_other_labels(tmp_path):
    coarse = {"coarse": {"names": ["animal"], "_type": "ClassLabel"}}
    write_shard(tmp_path / "train-0.parquet", [0, 1], coarse | FEATURES)
    assert open_dataset(tmp_path).classes == NAMES


def test_of_several_other_labels_the_first_counts(tmp_path):
    features = {
        "img": {"_type": "Image"},
        "fine_label": {"names": NAMES, "_type": "ClassLabel"},
        "coarse_label": {"names": ["animal"], "_type": "ClassLabel"},
    }
    write_shard(tmp_path / "train-0.parquet", [2, 1], features)
    dataset = open_dataset(tmp_path)
    assert dataset.classes == NAMES
    assert [label for _, label in listing(dataset, "train")] == [2, 1]


@pytest.mark.parametrize("metadata", [{}, {"huggingface": json.dumps({"info": {"features": {}}})}])
def test_parquet_that_does_not_name_its_classes_is_refused(tmp_path, metadata):
    write_shard(tmp_path / "train-0.parquet", [0, 1], metadata=metadata)
    assert "ClassLabel" in refused(tmp_path)


@pytest.mark.parametrize("metadata", ["no json", "{}", '{"info": null}'])
def test_parquet_with_damaged_metadata_is_refused(tmp_path, metadata):
    write_shard(tmp_path / "train-0.parquet", [0, 1], metadata={"huggingface": metadata})
    assert "train-0.parquet" in refused(tmp_path)


@pytest.mark.parametrize("label", [3, -1, None])
def test_a_label_that_is_no_class_is_refused_with_its_row(tmp_path, label):
    write_shard(tmp_path / "train-0.parquet", [0, 1, label])
    assert f"row 2: label {label}" in refused(tmp_path)


@pytest.mark.parametrize("cell", [None, {"bytes": None, "path": "cat/7.png"}])
def test_a_row_without_image_bytes_is_refused(tmp_path, cell):
    write_shard(tmp_path / "train-0.parquet", [0, 1], images=[{"bytes": b"x", "path": "a"}, cell])
    assert "row 1: no image bytes" in refused(tmp_path)


def test_shards_that_disagree_on_the_classes_are_refused_with_the_difference(tmp_path):
    other = FEATURES | {"label": {"names": ["cat", "dog", "horse"], "_type": "ClassLabel"}}
    write_shard(tmp_path / "train-0.parquet", [0, 1])
    write_shard(tmp_path / "test-0.parquet", [0, 1], other)
    assert "classes missing ['frog'], extra ['horse']" in refused(tmp_path)


def test_shards_with_the_classes_in_another_order_are_refused(tmp_path):
    other = FEATURES | {"label": {"names": NAMES[::-1], "_type": "ClassLabel"}}
    write_shard(tmp_path / "train-0.parquet", [0, 1])
    write_shard(tmp_path / "test-0.parquet", [0, 1], other)
    assert "in another order" in refused(tmp_path)


def test_shards_without_train_are_refused(tmp_path):
    write_shard(tmp_path / "test-0.parquet", [0, 1])
    assert "no train-*.parquet" in refused(tmp_path)


def test_a_shard_of_no_known_split_is_refused(tmp_path):
    write_shard(tmp_path / "train-0.parquet", [0, 1])
    write_shard(tmp_path / "training-0.parquet", [0, 1])
    assert "training-0.parquet" in refused(tmp_path)


def test_a_damaged_shard_is_named(tmp_path):
    write_shard(tmp_path / "train-0.parquet", [0, 1])
    (tmp_path / "test-0.parquet").write_bytes(b"PAR1 but not quite")
    assert "test-0.parquet is not a readable parquet file" in refused(tmp_path)
