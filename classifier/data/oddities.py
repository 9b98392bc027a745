"""What is odd in a dataset: copies, one picture under two classes, placeholders, tiny classes, damaged files."""

from collections.abc import Iterator
from typing import NamedTuple

from classifier.data.doubts import RECURRING
from classifier.data.survey import Survey
from classifier.errors import counted

import numpy as np

FEW = 20  # images of a class to train on, below which little can be learnt of it
TINY_SHARE = 4  # an image is tiny if its shorter side is less than the median's part by this number


class Oddity(NamedTuple):
    what: str  # with the number of cases
    so: str  # what it leads to, and the remedy
    examples: list[str]


def oddities(survey: Survey) -> list[Oddity]:
    """All that is odd, the gravest first; empty if nothing is."""
    return [*_unreadable(survey), *_classes(survey), *_copies(survey), *_sizes(survey)]


def _unreadable(survey: Survey) -> Iterator[Oddity]:
    if bad := survey.unreadable:
        yield Oddity(
            f"{counted(len(bad), 'file')} cannot be read", "prepare.py stops at them: mend or remove them.", bad
        )


def _classes(survey: Survey) -> Iterator[Oddity]:
    counts = {split: survey.counts(split) for split in survey.own_splits}
    none = [
        f"{name} in {split}" for split in counts for name, n in zip(survey.classes, counts[split], strict=True) if not n
    ]
    if none:
        yield Oddity(f"{counted(len(none), 'class')} without an image in a split", "prepare.py refuses that.", none)
    few = [(n, name) for name, n in zip(survey.classes, counts["train"], strict=True) if 0 < n < FEW]
    if few:
        yield Oddity(
            f"{counted(len(few), 'class')} with less than {FEW} images in train",
            "Expect little of them: collect more, join classes, or leave them out.",
            [f"{name}: {n}" for n, name in sorted(few)],
        )


def _copies(survey: Survey) -> Iterator[Oddity]:
    """Each picture that is there more than once, under all that is true of it; placeholders under that alone."""
    found: dict[str, list[str]] = {kind: [] for kind in _COPIES}
    for members in groups(survey.group):
        same = len(set(survey.digests[members])) == 1
        if len(members) >= RECURRING:
            found["recurring"].append(_example(survey, members, same))
            continue
        across = len(set(survey.splits[members])) > 1
        if classes := len(set(survey.labels[members])) > 1:
            found["classes"].append(_example(survey, members, same))
        if across:
            found["copies across" if same else "alike across"].append(_example(survey, members, same))
        elif not classes:
            found["copies within" if same else "alike within"].append(_example(survey, members, same))
    for kind, examples in found.items():
        if examples:
            what, so = _COPIES[kind]
            yield Oddity(f"{counted(len(examples), 'picture')} {what}", so, examples)


_COPIES = {
    "recurring": (
        f"recurring {RECURRING} times or more",
        "A placeholder, such as “no photo”? It teaches nothing: remove all. Or a fixed camera? Then look closely.",
    ),
    "classes": ("under two classes or more", "Decide which is right, and remove the others."),
    "alike across": (
        "in two splits, near-duplicates",
        "prepare.py cannot tell and leaves both in: results on val and test flatter. Remove those in train.",
    ),
    "copies across": (
        "in two splits, equal bytes",
        "prepare.py leaves out the one in train (or in val): nothing to do.",
    ),
    "alike within": (
        "more than once in a split, near-duplicates",
        "They count more than once; where prepare.py cuts off val or test, some end up there, and results flatter.",
    ),
    "copies within": ("more than once in a split, equal bytes", "They count more than once: keep one of each."),
}


def groups(group: np.ndarray) -> list[np.ndarray]:
    """The indices of the images of each group of two or more."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    return [members for members in np.split(order, starts[1:]) if len(members) > 1]


def _example(survey: Survey, members: np.ndarray, same: bool) -> str:
    """`a = b` for equal bytes, `a looks like b` for near-duplicates, with the classes where they differ."""
    classes = survey.labels[members]
    # One of each class and split says most.
    _, telling = np.unique(np.stack([classes, survey.splits[members]]), axis=1, return_index=True)
    shown = np.sort(telling) if len(telling) > 1 else np.arange(len(members))
    names = [
        survey.paths[i] + (f" ({survey.classes[survey.labels[i]]})" if len(set(classes)) > 1 else "")
        for i in members[shown[:2]]
    ]
    more = f" and {len(members) - 2} more" if len(members) > 2 else ""
    return (" = " if same else " looks like ").join(names) + more


def _sizes(survey: Survey) -> Iterator[Oddity]:
    short = survey.sides[:, 0]
    limit = survey.median_sides()[0] / TINY_SHARE
    tiny = np.flatnonzero((short > 0) & (short < limit))
    if len(tiny):
        yield Oddity(
            f"{counted(len(tiny), 'image')} with a side below {limit:.0f} pixels, a quarter of the usual",
            "Thumbnails or icons among the photographs? Enlarged, they are a blur.",
            [f"{survey.paths[i]}: {survey.sides[i, 0]} × {survey.sides[i, 1]}" for i in tiny[np.argsort(short[tiny])]],
        )
