"""Parquet shards and CIFAR files that are not what they say: one sentence before any image is decoded."""

import json
import os
import pickle
from pathlib import Path

from classifier.data.layouts import open_dataset
from classifier.errors import InputError
from tests.unit.test_datasets import NAMES, Canary, refused, write_cifar10

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

ONE = {"bytes": b"x", "path": "a.png"}
IMAGE = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])


def features(names=NAMES, image="image", label="label") -> dict:
    return {image: {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}


def write(path: Path, columns, described=None, raw: bytes | None = None, **options) -> Path:
    """A shard of `columns`, arrays by name, or a list of such pairs; described by the features, or by `raw`."""
    table = pyarrow.table([v for _, v in columns], [k for k, _ in columns])
    metadata = raw or json.dumps({"info": {"features": features() if described is None else described}})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": metadata}), path, **options)
    return path


def sound(labels=(0, 1, 2), images=None) -> list:
    images = images if images is not None else pyarrow.array([ONE] * len(labels), IMAGE)
    return [("image", images), ("label", pyarrow.array(labels, pyarrow.int64()))]


def image_of(kind) -> list:
    return [("image", pyarrow.array([None] * 3, kind)), ("label", pyarrow.array([0, 1, 2]))]


def label_of(values, kind=None) -> list:
    return [sound()[0], ("label", pyarrow.array(values, kind))]


def struct(**fields) -> pyarrow.DataType:
    return pyarrow.struct(list(fields.items()))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (image_of(pyarrow.binary()), "column 'image' is binary, and must be struct<bytes: binary, path: string>"),
        (image_of(pyarrow.string()), "column 'image' is string"),
        (image_of(pyarrow.list_(pyarrow.uint8())), "column 'image' is list"),
        (image_of(pyarrow.null()), "column 'image' is null"),
        (image_of(struct(path=pyarrow.string())), "column 'image' is struct<path: string>"),
        (image_of(struct(bytes=pyarrow.string())), "column 'image' is struct<bytes: string>"),
        (image_of(struct(bytes=struct(bytes=pyarrow.binary()))), "column 'image' is struct<bytes: struct"),
        (label_of([0.0, 1.0, 2.0]), "column 'label' is double, and must be int64"),
        (label_of(NAMES), "column 'label' is string"),
        (label_of([None] * 3), "column 'label' is null"),
        (label_of([True, False, True]), "column 'label' is bool"),
        (label_of([[0], [1], [2]]), "column 'label' is list"),
        (label_of([0, None, 2]), "row 1: label None is not one of 3 classes"),
        (label_of([0, 1, 3]), "row 2: label 3 is not one of 3 classes"),
        (label_of([-1, 1, 2]), "row 0: label -1"),
        (label_of([0, 1, 2**64 - 1], pyarrow.uint64()), "row 2: label 18446744073709551615"),
        (sound(images=pyarrow.array([ONE, None, ONE], IMAGE)), "row 1: no image bytes"),
        (sound(images=pyarrow.array([ONE, {"path": "a"}, ONE], IMAGE)), "row 1: no image bytes, only the path 'a'"),
        (sound()[:1], "tell of a column 'label', and it has 0 of this name"),
        (sound()[1:], "tell of a column 'image', and it has 0 of this name"),
        ([*sound(), sound()[1]], "tell of a column 'label', and it has 2 of this name"),
        ([sound()[0], *sound()], "tell of a column 'image', and it has 2 of this name"),
    ],
)
def test_a_shard_of_other_columns_than_its_metadata_tell_is_refused(tmp_path, columns, said):
    write(tmp_path / "train-0.parquet", columns)
    message = refused(tmp_path)
    assert "train-0.parquet" in message
    assert said in message
    assert "\n" not in message


DEEP = b'{"info": {"features": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (features(names=None), "no list of texts: None"),
        (features(names=[]), "no list of texts: []"),
        (features(names="cat"), "no list of texts: 'cat'"),
        (features(names={"cat": 0}), "no list of texts"),
        (features(names=[1, 2, 3]), "no list of texts: [1, 2, 3]"),
        (features(names=["cat", None, "dog"]), "no list of texts"),
        (features(names=["cat", "dog"]), "row 2: label 2 is not one of 2 classes"),
        (features(names=["cat", "a\nb", "dog"]), "has a control character: rename 'a\\nb'"),
        (features(names=["cat", "\udce9", "dog"]), "is not UTF-8"),
        (features(names=["caf\u00e9", "cafe\u0301", "dog"]), "'caf\\xe9' (NFC) and 'cafe\\u0301' (NFD)"),
        ([], "does not say which columns"),
        ({"image": "Image", "label": 7}, "does not say which columns"),
        ({"label": features()["label"]}, "does not say which columns"),
    ],
)
def test_a_shard_whose_metadata_lie_is_refused(tmp_path, described, said):
    write(tmp_path / "train-0.parquet", sound(), described)
    assert said in refused(tmp_path)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"[", DEEP, b'{"info": []}', b"null", b"1e999", b'"text"'])
def test_metadata_that_are_no_description_are_refused(tmp_path, raw):
    write(tmp_path / "train-0.parquet", sound(), raw=raw)
    assert "does not say which columns are the image and the class" in refused(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1PAR1", b"hello", b"PAR1" + b"\xff" * 8 + b"PAR1", b"\x89PNG\r\n"]
)
def test_what_is_no_parquet_is_refused(tmp_path, content):
    (tmp_path / "train-0.parquet").write_bytes(content)
    assert "train-0.parquet is not a readable parquet file" in refused(tmp_path)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_damage_anywhere_in_a_shard_is_refused_or_harmless_but_never_a_traceback(tmp_path, compression):
    pixels = np.random.default_rng(0).bytes(4000)
    images = pyarrow.array([{"bytes": pixels[i * 100 : i * 100 + 100], "path": f"{i}.png"} for i in range(40)], IMAGE)
    path = write(tmp_path / "train-0.parquet", sound([i % 3 for i in range(40)], images), compression=compression)
    whole, draw = path.read_bytes(), np.random.default_rng(1)
    for _ in range(60):
        content = bytearray(whole)
        for position in draw.integers(0, len(whole), 4):
            content[position] ^= int(draw.integers(1, 256))
        path.write_bytes(content if draw.integers(3) else content[: draw.integers(len(whole))])
        try:
            for split in open_dataset(tmp_path).splits.values():
                list(split.samples())
        except InputError as error:
            assert "train-0.parquet" in str(error) or "classes of these" in str(error)


def test_a_shard_without_rows_is_a_split_without_images(tmp_path):
    write(tmp_path / "train-0.parquet", sound([], pyarrow.array([], IMAGE)))
    split = open_dataset(tmp_path).splits["train"]
    assert split.count == 0
    assert list(split.samples()) == []


@pytest.mark.parametrize("kind", [pyarrow.int8(), pyarrow.uint16(), pyarrow.int32()])
def test_any_whole_numbers_and_large_bytes_are_read(tmp_path, kind):
    images = pyarrow.array([ONE] * 3, struct(bytes=pyarrow.large_binary(), path=pyarrow.string()))
    write(tmp_path / "train-0.parquet", [("image", images), ("label", pyarrow.array([2, 1, 0], kind))])
    samples = list(open_dataset(tmp_path).splits["train"].samples())
    assert [(sample.label, sample.image) for sample in samples] == [(2, b"x"), (1, b"x"), (0, b"x")]


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to(path)])
@pytest.mark.parametrize("name", ["train-1.parquet", "cifar-10-batches-py/data_batch_2"])
def test_a_pipe_a_folder_or_a_link_loop_in_the_place_of_a_file_is_refused_at_once(tmp_path, make, name):
    write(tmp_path / "train-0.parquet", sound()) if name.startswith("train") else write_cifar10(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    assert name in refused(tmp_path)


# CIFAR


def batch(**changes) -> dict:
    whole = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1], "filenames": [b"a.png", b"b.png"]}
    return {key.encode(): value for key, value in (whole | changes).items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": ...}, "data is no uint8 array of 3,072 columns"),
        ({"data": None}, "data is no uint8 array"),
        ({"data": np.zeros((2, 3072), np.float32)}, "data is no uint8 array"),
        ({"data": np.zeros((2, 3072), np.int64)}, "data is no uint8 array"),
        ({"data": np.full((2, 3072), 300)}, "data is no uint8 array"),
        ({"data": np.zeros((2, 3072), object)}, "data is no uint8 array"),
        ({"data": np.zeros((2, 3071), np.uint8)}, "data is no uint8 array of 3,072 columns"),
        ({"data": np.zeros((2, 3, 32, 32), np.uint8)}, "data is no uint8 array"),
        ({"data": np.zeros((), np.uint8)}, "data is no uint8 array"),
        ({"data": [[0] * 3072] * 2}, "data is no uint8 array"),
        ({"data": np.zeros((3, 3072), np.uint8)}, "2 filenames, 2 labels and 3 rows of data"),
        ({"labels": ...}, "labels: KeyError"),
        ({"labels": [0]}, "2 filenames, 1 labels and 2 rows of data"),
        ({"labels": [0, 3]}, "row 1 has the label 3, which is not one of 3 classes"),
        ({"labels": [-1, 0]}, "row 0 has the label -1"),
        ({"labels": [0.0, 1.0]}, "labels are not whole numbers"),
        ({"labels": [0, None]}, "labels are not whole numbers"),
        ({"labels": [0, "cat"]}, "labels are not whole numbers"),
        ({"labels": [True, False]}, "labels are not whole numbers"),
        ({"labels": [0, 10**400]}, "labels are not whole numbers"),
        ({"labels": [[0], [1]]}, "labels are not whole numbers"),
        ({"labels": [0, [1]]}, "labels: ValueError"),
        ({"labels": 7}, "labels are not whole numbers"),
        ({"filenames": ...}, "filenames is no list of texts"),
        ({"filenames": [b"a.png"]}, "1 filenames, 2 labels and 2 rows"),
        ({"filenames": [b"a.png", 7]}, "filenames is no list of texts"),
        ({"filenames": [b"a.png", b"caf\xe9"]}, "has a text that is not UTF-8"),
        ({"filenames": [b"a.png", b"a\x1b[2J"]}, "has a control character"),
    ],
)
def test_a_cifar_batch_of_other_contents_is_refused(tmp_path, changes, said):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py/data_batch_4").write_bytes(pickle.dumps(batch(**changes), protocol=2))
    message = refused(tmp_path)
    assert "data_batch_4" in message
    assert said in message


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (None, "label_names is no list of texts, but None"),
        ([], "labels, which is not one of 0 classes"),
        ([b"cat", 7, b"dog"], "label_names is no list of texts"),
        ([b"cat", b"\xff", b"dog"], "is not UTF-8"),
        ([b"cat", b"a\tb", b"dog"], "has a control character"),
        (7, "label_names is no list of texts, but 7"),
    ],
)
def test_cifar_class_names_of_another_kind_are_refused(tmp_path, names, said):
    write_cifar10(tmp_path)
    meta = {} if names is None else {b"label_names": names}
    (tmp_path / "cifar-10-batches-py/batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    message = refused(tmp_path)
    assert said in message or (names == [] and "not one of 0 classes" in message)


MEMO = b"\x80\x02}r\xff\xff\xff\xff."  # remembers a value under the number 4,294,967,295


@pytest.mark.parametrize(
    "content", [MEMO, b"\x80\x05\x8e" + b"\xff" * 8, b"(" * 9999, b"]" + b"\x94a" * 9999, b"c__main__\nx\n."]
)
def test_a_hostile_pickle_is_refused_without_taking_memory(tmp_path, content):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py/data_batch_1").write_bytes(content)
    assert "data_batch_1" in refused(tmp_path)


@pytest.mark.parametrize("key", ["data", "labels", "filenames"])
@pytest.mark.parametrize("protocol", range(6))
def test_code_in_a_cifar_file_is_never_run(tmp_path, key, protocol):
    write_cifar10(tmp_path)
    content = pickle.dumps(batch(**{key: Canary(tmp_path / "canary")}), protocol)
    (tmp_path / "cifar-10-batches-py/data_batch_1").write_bytes(content)
    assert "was not loaded: it names" in refused(tmp_path)
    assert not (tmp_path / "canary").exists()
