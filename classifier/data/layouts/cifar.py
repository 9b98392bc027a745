"""CIFAR-10 and CIFAR-100 in the files that torchvision unpacks, read without executing pickles."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from classifier.data.layouts.base import Dataset, Sample, Split
from classifier.errors import InputError

import numpy as np


def open_cifar10(folder: Path) -> Dataset:
    classes = [_text(name) for name in _load_batch(folder / "batches.meta")["label_names"]]
    batches = {"train": [folder / f"data_batch_{i}" for i in range(1, 6)], "test": [folder / "test_batch"]}
    return Dataset("CIFAR-10", classes, {s: _cifar_split(files, "labels") for s, files in batches.items()})


def open_cifar100(folder: Path) -> Dataset:
    classes = [_text(name) for name in _load_batch(folder / "meta")["fine_label_names"]]
    splits = {split: _cifar_split([folder / split], "fine_labels") for split in ("train", "test")}
    return Dataset("CIFAR-100", classes, splits)


def _cifar_split(files: list[Path], label_key: str) -> Split:
    # Counting needs the files parsed; they are read again when iterated, one at a time.
    count = sum(len(_load_images(file, label_key)[0]) for file in files)

    def samples() -> Iterator[Sample]:
        for file in files:
            for name, label, image in zip(*_load_images(file, label_key), strict=True):
                yield Sample(f"{file.name}/{_text(name)}", int(label), image)

    return Split(count, samples)


def _load_images(path: Path, label_key: str) -> tuple[list, list[int], np.ndarray]:
    """File names, labels and images, uint8 [N, 32, 32, 3], of one batch."""
    batch = _load_batch(path)
    try:
        names, labels = batch["filenames"], batch[label_key]
        images = np.asarray(batch["data"], dtype=np.uint8).reshape(len(labels), 3, 32, 32).transpose(0, 2, 3, 1)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path} does not hold what a CIFAR file holds: {error!r}") from None
    return names, labels, images


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles what the CIFAR files hold, plain values and numpy arrays, and refuses the rest.

    A pickle may name any function to call; only these names are looked up, none of which can
    do more than build an array.
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
        with open(path, "rb") as file:
            return {_text(key): value for key, value in _ArrayUnpickler(file, encoding="bytes").load().items()}
    except FileNotFoundError:
        raise InputError(f"{path} is missing: fetch the dataset again with `make data`.") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise InputError(f"{path} is not a CIFAR file and was not loaded: {error}") from None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
