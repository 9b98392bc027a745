"""What repeated runs show: means, differences with 95 % t-intervals, and which differences to believe.

A sample is a DataFrame with a row per run, named by its seeds, and a column per metric.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

from classifier.results.predictions import is_right

import numpy as np
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95
ALPHA = 0.05
NO_SPREAD = 1e-9  # metrics have five decimals: a smaller standard deviation is rounding, and no t-test can use it

# Which way is better; classes stand below `recall`.
BETTER = {"accuracy": 1, "macro_recall": 1, "worst_recall": 1, "recall": 1, "loss": -1, "ece": -1}

UNDECIDED = "no difference shown"

ONE_SAMPLE = partial(stats.ttest_1samp, popmean=0)
WELCH = partial(stats.ttest_ind, equal_var=False)


class Difference(NamedTuple):
    """Another sample minus the reference: `table` has difference, low, high and p for each metric.

    low, high and p are NaN where there is no interval: with one run on a side, or no spread at all.
    """

    method: Literal["paired t", "Welch's t", "one run"]
    pairs: int  # seeds that both samples have
    table: pd.DataFrame


def mean_interval(sample: pd.DataFrame) -> pd.DataFrame:
    """mean, low and high for each metric; low and high are NaN without two different values."""
    return _estimate("mean", sample.mean(), ONE_SAMPLE, sample).drop(columns="p")


def difference(reference: pd.DataFrame, other: pd.DataFrame) -> Difference:
    """Compare the metrics that both samples have.

    Runs with the same seeds share much of what chance decides, so where there are two such pairs or more,
    the pairs are compared and runs without a partner are left out; otherwise Welch's t-test is used,
    which does not take the variances to be equal.
    """
    metrics = [name for name in reference if name in other]
    reference, other = reference[metrics], other[metrics]
    shared = reference.index.intersection(other.index)
    if len(shared) >= 2:
        pairs = other.loc[shared] - reference.loc[shared]
        return Difference("paired t", len(shared), _estimate("difference", pairs.mean(), ONE_SAMPLE, pairs))
    means = other.mean() - reference.mean()
    if min(len(reference), len(other)) >= 2:
        return Difference("Welch's t", len(shared), _estimate("difference", means, WELCH, other, reference))
    return Difference(
        "one run", len(shared), pd.DataFrame({"difference": means, "low": np.nan, "high": np.nan, "p": np.nan})
    )


def verdicts(compared: Difference) -> pd.Series:
    """For each metric `higher`, `lower` or `no difference shown`, or why nothing can be said.

    Benjamini–Hochberg over all metrics of the comparison: of the differences that are named, at most one
    in twenty is expected to be chance, however many metrics there are.
    """
    table = compared.table
    no_test = "one run: no interval" if compared.method == "one run" else "equal for each seed: no interval"
    verdict = pd.Series(no_test, table.index, dtype=object)
    p = table["p"].dropna()
    shown = p.index[stats.false_discovery_control(p) <= ALPHA]
    verdict[p.index] = UNDECIDED
    verdict[shown] = np.where(table.loc[shown, "difference"] > 0, "higher", "lower")
    return verdict


def is_better(metric: str, verdict: str) -> bool | None:
    """Whether the verdict on a metric such as `val.recall.cat` is good news; None where nobody knows."""
    direction = next((BETTER[part] for part in metric.split(".") if part in BETTER), 0)
    change = {"higher": 1, "lower": -1}.get(verdict, 0)
    return direction * change > 0 if direction and change else None


def mcnemar(reference: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """McNemar's exact test on two models' predictions for the same images (columns label and prediction).

    Only the images count that one model gets right and the other does not.
    """
    right, other_right = is_right(reference), is_right(other)
    only_reference, only_other = int((right & ~other_right).sum()), int((~right & other_right).sum())
    decisive = only_reference + only_other
    p = float(stats.binomtest(only_other, decisive).pvalue) if decisive else 1.0
    verdict = UNDECIDED if p > ALPHA else "higher" if only_other > only_reference else "lower"
    return {"only_reference": only_reference, "only_other": only_other, "p": p, "verdict": verdict}


def _estimate(name: str, values: pd.Series, test: Callable[..., Any], *samples: pd.DataFrame) -> pd.DataFrame:
    """`values` as the column `name`, with the interval and p-value of `test` where the samples have a spread."""
    varies = [metric for metric in values.index if any(sample[metric].std() > NO_SPREAD for sample in samples)]
    result = test(*(sample[varies] for sample in samples))
    interval = result.confidence_interval(CONFIDENCE)
    tested = pd.DataFrame({"low": interval.low, "high": interval.high, "p": result.pvalue}, index=varies)
    return pd.DataFrame({name: values}).join(tested)
