"""prepared/dataset.json, which describes the prepared splits: what train.py and evaluate.py know before they read them.

It holds the classes, the channel statistics of the training split, and the SHA-256 of each split's head and of each
block of its rows.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, get_args

from classifier.config import IMAGE_SIZE, Fit
from classifier.data.names import require_sound
from classifier.data.rows import rows_per_block
from classifier.errors import InputError, one_line, shown
from classifier.paths import DATASET


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
        if type(self.image_size) is not int or not IMAGE_SIZE.holds(self.image_size):
            raise ValueError(f"image_size is {shown(self.image_size)}")
        if self.fit not in get_args(Fit):
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


def load_description() -> Description:
    """Read prepared/dataset.json.

    Raises:
        InputError: if it is missing, cannot be read, was written by another version of prepare.py, or says what cannot
            be: what it says of its splits is compared with them by `map_split`.
    """
    try:
        document = json.loads(DATASET.read_text(encoding="utf-8"))
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
