"""The class that is recognised worst: how sure that is, and what a change did to it and to the others, in sentences.

Some dozens of validation images of a class tell less than it seems: 33 right of 35 may be a recall of 81 or of 98 %.
"""

from collections.abc import Mapping
from typing import NamedTuple

from classifier.results.intervals import newcombe, wilson
from classifier.results.predictions import IMAGE, is_right

import numpy as np
import pandas as pd

TRADE = "A weight is a trade, not a gain: it finds more images of its class, and other classes pay."


class Worst(NamedTuple):
    """The validation recall of one class, and of the one of the others that may be the worst instead."""

    name: str
    right: int
    images: int
    low: float  # the 95 % interval of its recall
    high: float
    other: str
    other_right: int
    other_images: int

    @property
    def gap(self) -> tuple[float, float]:
        """The 95 % interval of how far that other is above it."""
        return newcombe(self.right, self.images, self.other_right, self.other_images)

    @property
    def clear(self) -> bool:
        """Whether it is so far below every other class that so few images of both can show it."""
        return self.gap[0] > 0


def find_worst(recall: Mapping[str, float], images: Mapping[str, int], name: str | None = None) -> Worst | None:
    """The class with the lowest recall; None where all are recognised equally well, so that there is none.

    Args:
        recall: of each class on the validation split, a fraction.
        images: the number of its validation images; a class of none is left out.
        name: the class to speak of instead, however well it is recognised.
    """
    seen = {known: value for known, value in recall.items() if images[known] > 0}
    if not name:
        if len(set(seen.values())) < 2:
            return None
        name = min(seen, key=seen.__getitem__)
    others = {known: value for known, value in seen.items() if known != name} or {name: recall[name]}
    right = {known: round(recall[known] * images[known]) for known in {name, *others}}
    other = min(others, key=others.__getitem__)
    if others[other] >= recall[name]:  # not the lowest, but the one that its images least allow to be above
        other = min(others, key=lambda o: newcombe(right[name], images[name], right[o], images[o])[0])
    low, high = wilson(np.array(right[name]), np.array(images[name]))
    return Worst(name, right[name], images[name], float(low), float(high), other, right[other], images[other])


def describe_worst(worst: Worst) -> str:
    """How well the class is recognised, how sure that is, and whether another may be the worst."""
    recall = f" ({worst.right / worst.images:.1%})" if worst.images else ""
    other = "nearest" if worst.right * worst.other_images <= worst.other_right * worst.images else "lowest"
    said = (
        f"{worst.name}: {worst.right} of {worst.images:,} validation images are recognised{recall}. So many images "
        f"allow for a recall from {worst.low:.1%} to {worst.high:.1%} (95 % interval). Of the {other} of the others, "
        f"{worst.other}, it is {worst.other_right} of {worst.other_images:,}"
    )
    if worst.clear:
        return f"{said}: {worst.name} is worst by more than chance."
    if worst.gap[1] < 0:
        return f"{said}: {worst.name} is not the worst."
    return (
        f"{said}, too few to tell the two apart: other images or another seed may find another class to be the worst. "
        f"More to rely on than a weight: more validation images, or more images of {worst.name} to learn from; "
        "notebooks/predictions.ipynb shows its mistakes."
    )


def describe_trade(before: pd.DataFrame, after: pd.DataFrame, name: str, split: str) -> str:
    """What became of the answers for one class, and what the other classes paid: a paragraph.

    Args:
        before, after: the predictions of two models for the same images.
        name: the class, which must have some of these images.
        split: what the images are of, test or val.
    """
    chosen = before["label"] == name
    gain, price, total = (_Change(before[rows], after[rows]) for rows in (chosen, ~chosen, chosen | ~chosen))
    return (
        f"Of {gain.images:,} {IMAGE[split]}s of {name}, {gain}. Of the {price.images:,} of other classes, {price}. "
        f"Accuracy is {total.shares}. That is about these two models: whether the change or the seed made the "
        "difference, only several seeds can tell."
    )


class _Change:
    """How many of the same images two models get right, and McNemar's exact test of the difference."""

    def __init__(self, before: pd.DataFrame, after: pd.DataFrame):
        from classifier.results.significance import mcnemar  # scipy takes a second to import

        self.images, self.then, self.now = len(before), int(is_right(before).sum()), int(is_right(after).sum())
        self.test = mcnemar(before, after)

    @property
    def shares(self) -> str:
        """97.0 % instead of 98.0 %, as Python prints shares."""
        now, then = (f"{count / self.images:.1%}" for count in (self.now, self.then))
        return f"{now} instead of {then}"

    def __str__(self) -> str:
        verdict = {"higher": "is more than chance", "lower": "is more than chance"}.get(
            self.test["verdict"], "may be chance"
        )
        return (
            f"{self.now:,} are recognised instead of {self.then:,} ({self.shares}), which {verdict}: "
            f"{self.test['only_other']} right now and wrong before, {self.test['only_reference']} the other way round "
            f"(McNemar's exact test: p = {self.test['p']:.2g})"
        )
