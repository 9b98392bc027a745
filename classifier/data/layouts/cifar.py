"""CIFAR-10 and CIFAR-100 in the files that torchvision unpacks, read without executing pickles."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from classifier.data.layouts.base import Dataset, Sample, Split
from classifier.data.names import require_sound
from classifier.errors import InputError, one_line, shown
from classifier.files import open_file

import numpy as np


def open_cifar10(folder: Path) -> Dataset:
    classes = _class_names(folder / "batches.meta", "label_names")
    batches = {"train": [folder / f"data_batch_{i}" for i in range(1, 6)], "test": [folder / "test_batch"]}
    splits = {s: _cifar_split(files, "labels", len(classes)) for s, files in batches.items()}
    return Dataset("CIFAR-10", classes, splits)


def open_cifar100(folder: Path) -> Dataset:
    classes = _class_names(folder / "meta", "fine_label_names")
    splits = {split: _cifar_split([folder / split], "fine_labels", len(classes)) for split in ("train", "test")}
    return Dataset("CIFAR-100", classes, splits)


def _class_names(path: Path, key: str) -> list[str]:
    return _texts(_load_batch(path), key, path)


def _cifar_split(files: list[Path], label_key: str, num_classes: int) -> Split:
    # Counting needs the files parsed; they are read again when iterated, one at a time.
    count = sum(len(_load_images(file, label_key, num_classes)[0]) for file in files)

    def samples() -> Iterator[Sample]:
        for file in files:
            for name, label, image in zip(*_load_images(file, label_key, num_classes), strict=True):
                yield Sample(f"{file.name}/{name}", int(label), image)

    return Split(count, samples)


def _load_images(path: Path, label_key: str, num_classes: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """File names, labels [N] and images, uint8 [N, 32, 32, 3], of one batch.

    Raises:
        InputError: if one of them is missing, of another type or length, or a label is no class.
    """
    batch = _load_batch(path)
    names = _texts(batch, "filenames", path)
    require_sound(names, str(path))
    try:
        labels = np.array(batch[label_key])
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _unlike(path, f"{label_key}: {type(error).__name__}, {one_line(error)}") from None
    data = batch.get("data")
    if labels.ndim != 1 or (labels.dtype.kind not in "iu" and len(labels)):
        raise _unlike(path, f"{label_key} are not whole numbers")
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * 32 * 32:
        raise _unlike(path, "data is no uint8 array of 3,072 columns")
    if not len(names) == len(labels) == len(data):
        raise _unlike(path, f"there are {len(names)} filenames, {len(labels)} {label_key} and {len(data)} rows of data")
    if len(wrong := np.flatnonzero((labels < 0) | (labels >= num_classes))):
        raise _unlike(
            path, f"row {wrong[0]} has the label {labels[wrong[0]]}, which is not one of {num_classes} classes"
        )
    return names, labels, data.reshape(len(labels), 3, 32, 32).transpose(0, 2, 3, 1)


def _texts(batch: dict[str, Any], key: str, path: Path) -> list[str]:
    """The list of texts under `key`, of bytes in the original files.

    Raises:
        InputError: if it is anything else.
    """
    values = batch.get(key)
    if not isinstance(values, list) or not all(isinstance(value, bytes | str) for value in values):
        raise _unlike(path, f"{key} is no list of texts, but {shown(values)}")
    try:
        return [_text(value) for value in values]
    except UnicodeDecodeError as error:
        raise _unlike(path, f"{key} has a text that is not UTF-8: {shown(error.object)}") from None


def _unlike(path: Path, what: str) -> InputError:
    return InputError(
        f"{path} does not hold what a CIFAR file holds: {what}. Fetch the dataset again with `make data`."
    )


class _ArrayUnpickler(pickle._Unpickler):
    """Unpickles what the CIFAR files hold, plain values and numpy arrays, and refuses the rest.

    A pickle may name any function to call; only these names are looked up, none of which can do more than build an
    array. This is pickle's reader in Python: the one in C sets up a table as long as a file claims, whatever its size.
    """

    ALLOWED: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.ALLOWED:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _load_batch(path: Path) -> dict[str, Any]:
    """One CIFAR file as a mapping with text keys."""
    try:
        file = open_file(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: fetch the dataset again with `make data`.") from None
    try:
        with file:
            return {_text(key): value for key, value in _ArrayUnpickler(file, encoding="bytes").load().items()}
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise InputError(f"{path} is not a CIFAR file and was not loaded: {one_line(error)}") from None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
