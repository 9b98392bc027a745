"""The prepared dataset: one safetensors file per split, dataset.json that describes them, and images.csv.

prepared/{train,val,test}.safetensors hold `images` uint8 [N, 3, H, W] and `labels` int64 [N];
prepared/dataset.json holds the classes, the channel statistics of the training split and the
SHA-256 of each file, which is checked at every load: safetensors itself would read a flipped bit;
prepared/images.csv has a row per image: split, index in it, path in data/, class, and SHA-256 of the original.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from classifier.errors import InputError
from classifier.files import sha256
from classifier.paths import DATASET, LISTING, split_path

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Description:
    """dataset.json: what train.py and evaluate.py must know beside the tensors."""

    classes: list[str]
    image_size: int
    fit: str  # how images of other shapes were made squares
    mean: list[float]  # per channel, of the training split, for pixels in [0, 1]
    std: list[float]
    splits: dict[str, dict[str, Any]]  # count, count per class, source and sha256 of each split

    @property
    def reported(self) -> str:
        """The split that results are of: test, or val where nothing was held back for a test."""
        return "test" if self.splits["test"]["count"] else "val"


class SplitWriter:
    """Writes a safetensors file image by image, so that memory does not grow with the dataset.

    The format (a length, a JSON header, the raw tensors) needs the shapes first and the pixels
    after; the library's own writer wants the whole tensor in memory. Labels come first because
    eight-byte integers must start at a multiple of eight.
    """

    def __init__(self, file: BinaryIO, labels: np.ndarray, image_size: int):
        shape = [len(labels), 3, image_size, image_size]
        labels_end = labels.nbytes
        header = json.dumps(
            {
                "labels": {"dtype": "I64", "shape": [len(labels)], "data_offsets": [0, labels_end]},
                "images": {
                    "dtype": "U8",
                    "shape": shape,
                    "data_offsets": [labels_end, labels_end + int(np.prod(shape))],
                },
            }
        ).encode()
        header += b" " * (-len(header) % 8)
        self._file, self._digest = file, hashlib.sha256()
        self._write(len(header).to_bytes(8, "little") + header)
        self._write(labels.astype("<i8").tobytes())

    def append(self, images: Sequence[np.ndarray] | np.ndarray) -> None:
        """Write the next images, uint8 [3, H, W] each."""
        for image in images:
            self._write(image.tobytes())

    def sha256(self) -> str:
        """The digest of all that was written, in hexadecimal."""
        return self._digest.hexdigest()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)


def load_description() -> Description:
    """Read prepared/dataset.json.

    Raises:
        InputError: if it is missing or was written by another version of prepare.py.
    """
    try:
        document = json.loads(DATASET.read_text(encoding="utf-8"))
        return Description(**{name: document[name] for name in Description.__dataclass_fields__})
    except FileNotFoundError:
        raise InputError(f"{DATASET} not found: run `dvc repro` or `python prepare.py` first.") from None
    except KeyError as error:
        raise InputError(
            f"{DATASET} has no {error}: another version of prepare.py wrote it, run `dvc repro -f prepare`."
        ) from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{DATASET} is damaged ({error!r}): run `dvc repro -f prepare`.") from None


def list_prepared(split: str) -> pd.DataFrame:
    """The rows of prepared/images.csv for a split, as text, in the order of its tensors.

    Raises:
        InputError: if it is missing or another table.
    """
    try:
        listed = pd.read_csv(LISTING, dtype=str, keep_default_na=False)
        return listed[listed["split"] == split]
    except FileNotFoundError:
        raise InputError(f"{LISTING} not found: run `dvc repro` or `python prepare.py` first.") from None
    except (ValueError, KeyError) as error:
        raise InputError(f"{LISTING} is damaged ({error!r}): run `dvc repro -f prepare`.") from None


class PreparedSplit(NamedTuple):
    """The file of a split as read-only arrays, mapped: a row is read from the disk when it is used."""

    images: np.ndarray  # uint8 [N, 3, H, W]
    labels: np.ndarray  # int64 [N]


def map_split(split: str, description: Description | None = None) -> PreparedSplit:
    """Map a prepared split; with a `description`, after checking its digest.

    Raises:
        InputError: if the file is missing or damaged, or is not the one that dataset.json describes.
    """
    path = split_path(split)
    if not path.exists():
        raise InputError(f"{path} not found: run `dvc repro`, or fetch it with `dvc pull`.")
    if description and sha256(path) != description.splits[split]["sha256"]:
        raise InputError(f"{path} is not the file that {DATASET} describes: run `dvc repro -f prepare`.")
    try:
        with open(path, "rb") as file:
            header_size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(header_size))
        arrays = [
            np.memmap(path, dtype, "r", 8 + header_size + header[name]["data_offsets"][0], tuple(header[name]["shape"]))
            for name, dtype in (("images", "u1"), ("labels", "<i8"))
        ]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{path} is damaged ({error}): run `dvc repro -f prepare`.") from None
    return PreparedSplit(*arrays)
