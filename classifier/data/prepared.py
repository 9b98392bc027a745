"""The prepared dataset: one safetensors file per split, dataset.json that describes them, and images.csv.

prepared/{train,val,test}.safetensors hold `images` uint8 [N, 3, H, W] and `labels` int64 [N]; their digests, which are
checked when they are first read, are in prepared/dataset.json (description.py): safetensors itself would read a flipped
bit;
prepared/images.csv has a row per image: split, index in it, path in data/, class, and SHA-256 of the original.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from classifier.data.description import Description
from classifier.data.rows import Rows, rows_per_block
from classifier.errors import InputError, one_line, shown
from classifier.paths import DATASET, LISTING, split_path

import numpy as np
import pandas as pd

MOST_HEADER = 10_000  # bytes, of about 200: a damaged length may claim anything


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
        head = len(header).to_bytes(8, "little") + header + labels.astype("<i8").tobytes()
        self._file, self._head = file, hashlib.sha256(head).hexdigest()
        self._blocks: list[str] = []
        self._per_block, self._rows = rows_per_block(3 * image_size**2), 0
        file.write(head)

    def append(self, images: Sequence[np.ndarray] | np.ndarray) -> None:
        """Write the next images, uint8 [3, H, W] each."""
        for image in images:
            if self._rows % self._per_block == 0:
                self._end_block()
                self._block = hashlib.sha256()
            data = image.tobytes()
            self._file.write(data)
            self._block.update(data)
            self._rows += 1

    def digests(self) -> dict[str, Any]:
        """SHA-256, in hexadecimal, of what comes before the images (`head`) and of each block of rows (`blocks`)."""
        self._end_block()
        return {"head": self._head, "blocks": self._blocks}

    def _end_block(self) -> None:
        if self._rows > len(self._blocks) * self._per_block:
            self._blocks.append(self._block.hexdigest())


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
    """The file of a split: its images, which stay there until they are asked for, and its labels."""

    images: Rows  # uint8 [N, 3, H, W]
    labels: np.ndarray  # int64 [N]


def map_split(split: str, description: Description | None = None) -> PreparedSplit:
    """Open a prepared split; with a `description`, its digests are checked: of labels now, of images as they are read.
    So are its sides and its numbers of images.

    Raises:
        InputError: if the file is missing or damaged, or is not the one that dataset.json describes.
    """
    path = split_path(split)
    if not path.exists():
        raise InputError(f"{path} not found: run `dvc repro`, or fetch it with `dvc pull`.")
    known = description.splits[split] if description else {}
    mismatch = InputError(f"{path} is not the file that {DATASET} describes: run `dvc repro -f prepare`.")
    try:
        head, shape = _read_head(path)
        labels = np.frombuffer(head, "<i8", shape[0], len(head) - 8 * shape[0])
        images = Rows(path, len(head), shape, known.get("blocks"))
        if path.stat().st_size != len(head) + images.nbytes:
            raise ValueError("its length is not what its header says")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        if description:
            raise mismatch from None
        raise InputError(f"{path} is damaged ({one_line(error)}): run `dvc repro -f prepare`.") from None
    if description:
        if hashlib.sha256(head).hexdigest() != known["head"]:
            raise mismatch
        side, said = description.image_size, list(known["per_class"].values())
        known_labels = not len(labels) or (labels.min() >= 0 and labels.max() < len(said))
        if shape != (known["count"], 3, side, side) or not known_labels:
            raise mismatch
        if np.bincount(labels, minlength=len(said)).tolist() != said:
            raise mismatch
    return PreparedSplit(images, labels)


def _read_head(path: Path) -> tuple[bytes, tuple[int, ...]]:
    """The bytes before the images, which end with the labels, and the shape of the images, [N, 3, H, W]."""
    with open(path, "rb") as file:
        size = file.read(8)
        header = file.read(min(int.from_bytes(size, "little"), MOST_HEADER))
        described = json.loads(header)
        shape = described["images"]["shape"]
        if len(shape) != 4 or not all(type(n) is int and n >= 0 for n in shape) or 8 * shape[0] > path.stat().st_size:
            raise ValueError(f"images have the shape {shown(shape)}")
        if described["labels"]["data_offsets"] != [0, 8 * shape[0]]:
            raise ValueError("labels do not come first")
        return size + header + file.read(8 * shape[0]), tuple(shape)
