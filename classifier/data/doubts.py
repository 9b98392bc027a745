"""What to doubt in the splits: contradictory labels, at which prepare may stop, placeholders, few images."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from classifier.data.splits import Entry
from classifier.errors import InputError

RECURRING = 5  # times that one picture is there, from which on it may be a placeholder
FEW = 5  # images of a class in val, below which one more mistake is a fifth of its recall or more
LISTED = 10  # in a message; dataset.json lists all


def say_doubts(entries: list[Entry], classes: list[str], conflicts: str) -> dict[str, Any]:
    """Print what is to be doubted; returns what dataset.json is to list of it, nothing where nothing is.

    Raises:
        InputError: if images lie under two classes and `conflicts` is `error`, naming all of them.
    """
    found = {"conflicts": two_classes(entries, classes), "recurring": recurs(entries)}
    contradictory = [" = ".join(f"{path} ({name})" for path, name in paths.items()) for paths in found["conflicts"]]
    if contradictory and conflicts == "error":
        raise InputError(
            f"data/ has {len(contradictory)} image(s) under two classes or more: remove all but one of each, or keep "
            "them with prepare.conflicts: keep.\n  " + "\n  ".join(contradictory)
        )
    for paths in contradictory[:LISTED]:
        print(f"under two classes: {paths}")
    if number := len(contradictory):
        print(
            f"{number} image(s) lie under two classes or more, and stay under each, but for copies of what is held "
            "out: `conflicts` in dataset.json"
        )
    for image in found["recurring"][:LISTED]:
        print(f"{image['path']} is there {image['times']} times: a placeholder? `recurring` in dataset.json lists such")
    if few := few_to_choose_by(entries, classes):
        listed = ", ".join(few[:LISTED]) + (" …" if len(few) > LISTED else "")
        print(
            f"val has less than {FEW} images of {len(few)} class(es) ({listed}): the worst class and the calibration "
            "rest on them; raise prepare.val_fraction, or put more into a val split of your own"
        )
    return {key: value for key, value in found.items() if value}


def two_classes(entries: Iterable[Entry], classes: list[str]) -> list[dict[str, str]]:
    """For each image (equal bytes) that lies under more than one class, its paths and the class of each."""
    return [
        {entry.path: classes[entry.label] for entry in same}
        for same in _same_bytes(entries)
        if len({entry.label for entry in same}) > 1
    ]


def recurs(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The images that are there as often as only placeholders are: {"path": the first one's, "times": …}."""
    return [{"path": s[0].path, "times": len(s)} for s in _same_bytes(entries) if len(s) >= RECURRING]


def few_to_choose_by(entries: Iterable[Entry], classes: list[str]) -> list[str]:
    """The classes that val has less than FEW images of, the rarest first, as "NAME: NUMBER"."""
    counts = Counter(entry.label for entry in entries if entry.split == "val")
    rare = sorted((counts[label], label) for label in range(len(classes)))
    return [f"{classes[label]}: {count}" for count, label in rare if count < FEW]


def _same_bytes(entries: Iterable[Entry]) -> list[list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.sha256, []).append(entry)
    return [group for group in groups.values() if len(group) > 1]
