"""Slices of a split in which a model errs more often than in the rest, by more than chance.

Looked at are quarters of the images by a trait (the darkest, the least sharp, the smallest …), of all images and of
each class, classes, and pairs of classes. Each is compared with the rest by Fisher's exact test, one-sided; of what is
named, at most one in twenty is expected to be chance, however many slices were looked at (Benjamini–Hochberg).
"""

from collections.abc import Iterator
from typing import NamedTuple

from classifier.data.rows import Rows
from classifier.results.intervals import wilson
from classifier.results.predictions import is_right

import numpy as np
import pandas as pd
from scipy import stats

ALPHA = 0.05
LEAST = 10  # images of a slice, with fewer of which nothing could be shown
QUARTERS = {  # of each trait: the images with its lowest and its highest values
    "side": ("the smallest quarter", "the largest quarter"),
    "brightness": ("the darkest quarter", "the brightest quarter"),
    "sharpness": ("the least sharp quarter", "the sharpest quarter"),
}


class Slice(NamedTuple):
    name: str
    images: np.ndarray  # int: which rows belong to it
    wrong: np.ndarray  # int: which of them are wrong, in its own sense
    rest: int  # what it is compared with: images, or chances to take one class for another
    rest_wrong: int


def measure(images: np.ndarray | Rows) -> pd.DataFrame:
    """`brightness` and `sharpness` of images, uint8 [N, 3, H, W], a row each; they are read one after the other.

    Brightness is the mean level, sharpness the standard deviation of the discrete Laplacian of the levels, both of 255.
    """
    rows = []
    for index in range(len(images)):
        image = images[index]
        grey = image.mean(0, dtype=np.float32)
        inner = grey[1:-1, 1:-1]
        laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
        rows.append((float(grey.mean()), float(laplacian.std())))
    return pd.DataFrame(rows, columns=["brightness", "sharpness"])


def compare_slices(answers: pd.DataFrame, traits: pd.DataFrame) -> tuple[pd.DataFrame, list[Slice]]:
    """Every slice that was looked at, the likeliest to fail first.

    Args:
        answers: `label` and `prediction`, a row per image.
        traits: columns of QUARTERS, in the same order of rows.

    Returns:
        slice, images, wrong, share, low and high (its 95 % interval), rest_share, p, adjusted (p, for the number looked
        at) and fails; and the slices in the same order.
    """
    found = list(_slices(answers, traits))
    counts = pd.DataFrame(
        [(s.name, len(s.images), len(s.wrong), s.rest, s.rest_wrong) for s in found],
        columns=["slice", "images", "wrong", "rest", "rest_wrong"],
    )
    counts = counts.astype(dict.fromkeys(counts.columns[1:], int))  # also where there is none
    low, high = wilson(counts["wrong"], counts["images"])
    total, wrong = counts["images"] + counts["rest"], counts["wrong"] + counts["rest_wrong"]
    p = np.minimum(stats.hypergeom.sf(counts["wrong"] - 1, total, wrong, counts["images"]), 1)
    adjusted = stats.false_discovery_control(p) if len(p) else p
    table = counts.assign(
        share=counts["wrong"] / counts["images"],
        low=low,
        high=high,
        rest_share=counts["rest_wrong"] / counts["rest"].clip(lower=1),
        p=p,
        adjusted=adjusted,
        fails=adjusted <= ALPHA,
    )
    table = table.sort_values(["p", "share"], ascending=[True, False], kind="stable")
    shown = ["slice", "images", "wrong", "share", "low", "high", "rest_share", "p", "adjusted", "fails"]
    return table[shown].reset_index(drop=True), [found[i] for i in table.index]


def _slices(answers: pd.DataFrame, traits: pd.DataFrame) -> Iterator[Slice]:
    labels, predictions = answers["label"].to_numpy(), answers["prediction"].to_numpy()
    wrong = ~is_right(answers).to_numpy()
    classes = sorted(set(labels))
    everything = np.arange(len(labels))
    yield from _quarters(everything, wrong, traits, "")
    for name in classes:
        members = np.flatnonzero(labels == name)
        if LEAST <= len(members) < len(labels):
            yield _slice(f"“{name}”", members, everything, wrong)
        yield from _quarters(members, wrong, traits, f" of “{name}”")
    every_class = sorted(set(labels) | set(predictions))
    chances = len(labels) * (len(every_class) - 1)
    for label in classes:
        members = np.flatnonzero(labels == label)
        for other in every_class if len(members) >= LEAST else ():
            if other != label:
                taken = members[predictions[members] == other]
                rest = chances - len(members)
                yield Slice(f"“{label}” taken for “{other}”", members, taken, rest, int(wrong.sum()) - len(taken))


def _quarters(members: np.ndarray, wrong: np.ndarray, traits: pd.DataFrame, suffix: str) -> Iterator[Slice]:
    """The outer quarters of `members` by each trait, where the trait tells that many of them apart."""
    for trait in traits:
        values = traits[trait].to_numpy()[members]
        if len(values) < 2 * LEAST:
            continue
        low, high = np.quantile(values, [0.25, 0.75])
        for name, inside in zip(QUARTERS[str(trait)], (values <= low, values >= high), strict=True):
            if LEAST <= inside.sum() <= len(values) / 2:
                yield _slice(name + suffix, members[inside], members, wrong)


def _slice(name: str, inside: np.ndarray, among: np.ndarray, wrong: np.ndarray) -> Slice:
    mistaken = inside[wrong[inside]]
    return Slice(name, inside, mistaken, len(among) - len(inside), int(wrong[among].sum()) - len(mistaken))
