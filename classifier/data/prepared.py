"""The prepared dataset: one safetensors file per split, dataset.json that describes them, and images.csv.

prepared/{train,val,test}.safetensors hold `images` uint8 [N, 3, H, W] and `labels` int64 [N];
prepared/dataset.json holds the classes, the channel statistics of the training split and the SHA-256 of each
file's head and of each block of its rows, which are checked when they are first read: safetensors itself would read a
flipped bit;
prepared/images.csv has a row per image: split, index in it, path in data/, class, and SHA-256 of the original.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from classifier.data.rows import Rows, rows_per_block
from classifier.errors import InputError
from classifier.paths import DATASET, LISTING, split_path

import numpy as np
import pandas as pd

MOST_HEADER = 10_000  # bytes, of about 200: a damaged length may claim anything


@dataclass(frozen=True)
class Description:
    """dataset.json: what train.py and evaluate.py must know beside the tensors."""

    classes: list[str]
    image_size: int
    fit: str  # how images of other shapes were made squares
    mean: list[float]  # per channel, of the training split, for pixels in [0, 1]
    std: list[float]
    splits: dict[str, dict[str, Any]]  # count, count per class, source and digests (head, blocks) of each split

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


def load_description() -> Description:
    """Read prepared/dataset.json.

    Raises:
        InputError: if it is missing or was written by another version of prepare.py.
    """
    try:
        document = json.loads(DATASET.read_text(encoding="utf-8"))
        for split in dict(document["splits"]).values():
            if missing := {"head", "blocks"} - split.keys():
                raise KeyError(min(missing))
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
    """The file of a split: its images, which stay there until they are asked for, and its labels."""

    images: Rows  # uint8 [N, 3, H, W]
    labels: np.ndarray  # int64 [N]


def map_split(split: str, description: Description | None = None) -> PreparedSplit:
    """Open a prepared split; with a `description`, its digests are checked: of labels now, of images as they are read.

    Raises:
        InputError: if the file is missing or damaged, or is not the one that dataset.json describes.
    """
    path = split_path(split)
    if not path.exists():
        raise InputError(f"{path} not found: run `dvc repro`, or fetch it with `dvc pull`.")
    known = description.splits[split] if description else {}
    try:
        head, shape = _read_head(path)
        labels = np.frombuffer(head, "<i8", shape[0], len(head) - 8 * shape[0])
        images = Rows(path, len(head), shape, known.get("blocks"))
        if path.stat().st_size != len(head) + images.nbytes:
            raise ValueError("its length is not what its header says")
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        if not description:
            raise InputError(f"{path} is damaged ({error}): run `dvc repro -f prepare`.") from None
        head = b""
    if description and hashlib.sha256(head).hexdigest() != known["head"]:
        raise InputError(f"{path} is not the file that {DATASET} describes: run `dvc repro -f prepare`.")
    return PreparedSplit(images, labels)


def _read_head(path: Path) -> tuple[bytes, tuple[int, ...]]:
    """The bytes before the images, which end with the labels, and the shape of the images."""
    with open(path, "rb") as file:
        size = file.read(8)
        header = file.read(min(int.from_bytes(size, "little"), MOST_HEADER))
        described = json.loads(header)
        start, end = described["labels"]["data_offsets"]
        return size + header + file.read(end - start), tuple(described["images"]["shape"])
