"""Which image goes to train, val and test, decided before any image is decoded."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

SPLITS = ("train", "val", "test")
EXCLUDED = "excluded"


class Entry(NamedTuple):
    """What is known of an image before it is decoded."""

    path: str
    label: int
    sha256: str
    split: str  # as the dataset has it, then where it goes: one of SPLITS or EXCLUDED


def hold_out(entries: list[Entry], name: str, fraction: float, seed: int) -> list[Entry]:
    """Move `fraction` of the training images of each class, at least one, to the split `name`.

    Images are ranked by a hash of seed, split and content rather than shuffled: the choice does not
    depend on a random generator's version, on file names or on packing, and adding images to the
    dataset hardly moves the others.
    """
    by_class: dict[int, list[int]] = {}
    for index, entry in enumerate(entries):
        if entry.split == "train":
            by_class.setdefault(entry.label, []).append(index)
    chosen: set[int] = set()
    for indices in by_class.values():
        indices.sort(key=lambda i: hashlib.sha256(f"{seed} {name} {entries[i].sha256}".encode()).digest())
        chosen.update(indices[: max(1, round(fraction * len(indices)))])
    return [e._replace(split=name) if i in chosen else e for i, e in enumerate(entries)]


def exclude_copies(entries: list[Entry]) -> tuple[list[Entry], list[dict[str, str]]]:
    """Exclude each training image that is also in val or test, and each val image that is also in test.

    Otherwise the model would be tested on what it has learnt by heart. Copies inside a split stay.

    Returns:
        the entries, and the paths of each excluded image and of its copy: {"path": …, "same_as": …}.
    """
    held_out: dict[str, str] = {}  # digest to path
    kept, copies = list(entries), []
    for split in ("test", "val", "train"):
        group = [(index, entry) for index, entry in enumerate(entries) if entry.split == split]
        for index, entry in group:
            if entry.sha256 in held_out:
                copies.append({"path": entry.path, "same_as": held_out[entry.sha256]})
                kept[index] = entry._replace(split=EXCLUDED)
        held_out |= {entry.sha256: entry.path for _, entry in group if entry.sha256 not in held_out}
    return kept, copies


def lacking(entries: Iterable[Entry], classes: list[str], splits: Iterable[str]) -> list[str]:
    """The classes without an image in one of `splits`, as "NAME in SPLIT": their recall would be undefined."""
    present = {(entry.split, entry.label) for entry in entries}
    return [f"{name} in {split}" for split in splits for i, name in enumerate(classes) if (split, i) not in present]
