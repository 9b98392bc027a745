"""What every dataset layout provides: class names and, for each split, samples in a fixed order."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from classifier.data.names import require_distinct, require_sound

import numpy as np


class Sample(NamedTuple):
    """One image as the dataset stores it."""

    path: str  # relative to the dataset; for arrays and tables, a name that identifies the row
    label: int
    image: bytes | np.ndarray  # an encoded image file, or uint8 [H, W, 3]

    def sha256(self) -> str:
        """The digest of the image's bytes, 64 hexadecimal digits."""
        image = self.image
        return hashlib.sha256(image if isinstance(image, bytes) else np.ascontiguousarray(image).data).hexdigest()


@dataclass(frozen=True)
class Split:
    """`samples()` starts a new pass over the split, always in the same order."""

    count: int
    samples: Callable[[], Iterator[Sample]]


@dataclass(frozen=True)
class Dataset:
    layout: str
    classes: list[str]
    splits: dict[str, Split]  # "train" always; "val" and "test" where the dataset has them

    def __post_init__(self) -> None:
        require_sound(self.classes, f"the classes of these {self.layout}")
        require_distinct(self.classes, f"the classes of these {self.layout}")
