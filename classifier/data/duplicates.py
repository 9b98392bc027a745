"""Pictures that are there more than once, and which of the copies to keep."""

from collections.abc import Sequence

from classifier.data.oddities import RECURRING, groups
from classifier.data.splits import EXCLUDED
from classifier.data.survey import Survey

import numpy as np
import pandas as pd

KEEP, REMOVE, DECIDE, LEFT_OUT = "keep", "remove", "decide which class is right", "prepare.py leaves it out"
# The split in which a copy is worth most: in train, it would flatter results on the others.
WORTH = {"test": 3, "val": 2, "train": 1, EXCLUDED: 0}


def find_duplicates(survey: Survey, splits: Sequence[str]) -> pd.DataFrame:
    """A row per copy: group, copies (`equal bytes` or `near-duplicates`), path, class, split and advice.

    The gravest groups come first: under two classes, across splits, recurring, within a split. In a group, the copy to
    keep is first: that in test before val before train, and of those the largest.

    Args:
        splits: where prepare.py put each image of the survey.
    """
    found = []
    for members in groups(survey.group):
        places = [splits[i] for i in members]
        pixels = survey.sides[members].prod(axis=1)
        order = np.lexsort((members, -pixels, np.array([-WORTH[place] for place in places])))
        members, places = members[order], [places[i] for i in order]
        classes = [survey.classes[i] for i in survey.labels[members]]
        used = {place for place in places if place != EXCLUDED}
        same = len(set(survey.digests[members])) == 1
        advice = _advise(classes, places)
        gravity = (len(set(classes)) == 1, len(used) == 1, len(members) < RECURRING)
        rows = zip([survey.paths[i] for i in members], classes, places, advice, strict=True)
        found.append((gravity, same, list(rows)))
    found.sort(key=lambda group: group[0])
    return pd.DataFrame(
        [
            (number, "equal bytes" if same else "near-duplicates", *row)
            for number, (_, same, rows) in enumerate(found, 1)
            for row in rows
        ],
        columns=["group", "copies", "path", "class", "split", "advice"],
    )


def _advise(classes: list[str], places: list[str]) -> list[str]:
    if len(set(classes)) > 1:
        return [DECIDE] * len(classes)
    if len(places) >= RECURRING:
        return [REMOVE] * len(places)
    return [KEEP, *(LEFT_OUT if place == EXCLUDED else REMOVE for place in places[1:])]
