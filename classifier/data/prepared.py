"""The prepared dataset: one safetensors file per split, dataset.json that describes them, and images.csv.

prepared/{train,val,test}.safetensors hold `images` uint8 [N, 3, H, W] and `labels` int64 [N];
prepared/dataset.json holds the classes, the channel statistics of the training split and the SHA-256 of each
file's head and of each block of its rows, which are checked when they are first read: safetensors itself would read a
flipped bit;
prepared/images.csv has a row per image: split, index in it, path in data/, class, and SHA-256 of the original.
"""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from classifier.data.names import require_sound
from classifier.data.rows import Rows, rows_per_block
from classifier.errors import InputError, one_line, shown
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

    def require_sense(self) -> None:
        """Refuse what prepare.py never writes: numbers below are taken from here without being counted anew.

        Raises:
            KeyError, TypeError, ValueError, InputError: saying what it is.
        """
        classes, colours = self.classes, [*self.mean, *self.std]
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError(f"classes are {shown(classes)}, not a list of names")
        require_sound(classes, f"{DATASET}, classes")
        if len(set(classes)) < max(2, len(classes)):
            raise ValueError(f"classes are {shown(classes)}, not two or more different names")
        if type(self.image_size) is not int or not 4 <= self.image_size <= 1024:
            raise ValueError(f"image_size is {shown(self.image_size)}")
        if self.fit not in ("crop", "pad", "squash"):
            raise ValueError(f"fit is {shown(self.fit)}")
        numbers = all(type(value) in (int, float) and 0 <= value <= 1 for value in colours)
        if (len(self.mean), len(self.std)) != (3, 3) or not numbers:
            raise ValueError(f"mean and std are {shown(self.mean)} and {shown(self.std)}, not three numbers each")
        if min(self.std) <= 0:
            raise ValueError(f"std is {shown(self.std)}")
        if set(self.splits) != {"train", "val", "test"}:
            raise ValueError(f"splits are {shown(list(self.splits))}")
        for name, split in self.splits.items():
            self._require_sense_of(name, split)

    def _require_sense_of(self, name: str, split: dict[str, Any]) -> None:
        counts = list(split["per_class"].values())
        if list(split["per_class"]) != self.classes or not all(type(n) is int and n >= 0 for n in counts):
            raise ValueError(f"{name} has per_class {shown(split['per_class'])}")
        if type(split["count"]) is not int or split["count"] != sum(counts):
            raise ValueError(f"{name} has count {shown(split['count'])}, and per_class {sum(counts)} in all")
        if 0 in counts and (name != "test" or any(counts)):
            raise ValueError(f"{name} has no image of a class")
        digests = [split["head"], *split["blocks"]]
        if len(digests) - 1 != math.ceil(split["count"] / rows_per_block(3 * self.image_size**2)):
            raise ValueError(f"{name} has {len(digests) - 1} digests of blocks for {split['count']} images")
        if not all(isinstance(d, str) and re.fullmatch("[0-9a-f]{64}", d) for d in digests):
            raise ValueError(f"{name} has digests that are none")


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
        InputError: if it is missing, cannot be read, was written by another version of prepare.py, or says what cannot
            be: what it says of its splits is compared with them by `map_split`.
    """
    try:
        document = json.loads(DATASET.read_text(encoding="utf-8"))
        for split in dict(document["splits"]).values():
            if missing := {"head", "blocks"} - split.keys():
                raise KeyError(min(missing))
        description = Description(**{name: document[name] for name in Description.__dataclass_fields__})
        description.require_sense()
        return description
    except FileNotFoundError:
        raise InputError(f"{DATASET} not found: run `dvc repro` or `python prepare.py` first.") from None
    except KeyError as error:
        raise InputError(
            f"{DATASET} has no {error}: another version of prepare.py wrote it, run `dvc repro -f prepare`."
        ) from None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{DATASET} is damaged ({one_line(error)}): run `dvc repro -f prepare`.") from None


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
    other = InputError(f"{path} is not the file that {DATASET} describes: run `dvc repro -f prepare`.")
    try:
        head, shape = _read_head(path)
        labels = np.frombuffer(head, "<i8", shape[0], len(head) - 8 * shape[0])
        images = Rows(path, len(head), shape, known.get("blocks"))
        if path.stat().st_size != len(head) + images.nbytes:
            raise ValueError("its length is not what its header says")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        if description:
            raise other from None
        raise InputError(f"{path} is damaged ({one_line(error)}): run `dvc repro -f prepare`.") from None
    if description:
        if hashlib.sha256(head).hexdigest() != known["head"]:
            raise other
        counts = dict(zip(*np.unique(labels, return_counts=True), strict=True))
        side, said = description.image_size, list(known["per_class"].values())
        if shape != (known["count"], 3, side, side) or [counts.get(label, 0) for label in range(len(said))] != said:
            raise other
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
