"""The numbers of metrics.json and the tables behind the plots."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, log_loss, precision_recall_fscore_support, recall_score

CALIBRATION_BINS = 15  # equal-width, as in Guo et al., arXiv 1706.04599


def summarize(probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> dict[str, Any]:
    """The metrics of one split.

    Args:
        probabilities: float [N, num_classes], rows summing to one.
        labels: int [N].
        classes: the class names, in the order of the columns.

    Returns:
        accuracy, loss (mean negative log-likelihood in nats), macro_recall, worst_class and
        worst_recall (the class with the lowest recall), ece (expected calibration error) and the
        recall of each class. All but worst_class are fractions or nats, rounded to 5 decimals.
    """
    predictions = probabilities.argmax(1)
    indices = np.arange(len(classes))
    recall = recall_score(labels, predictions, labels=indices, average=None, zero_division=0)
    worst = int(recall.argmin())
    bins = reliability(probabilities, labels)
    ece = (bins["count"] * (bins["accuracy"] - bins["confidence"]).abs()).sum() / len(labels)
    return {
        "accuracy": _round(accuracy_score(labels, predictions)),
        "loss": _round(log_loss(labels, probabilities, labels=indices)),
        "macro_recall": _round(recall.mean()),
        "worst_class": classes[worst],
        "worst_recall": _round(recall[worst]),
        "ece": _round(ece),
        "recall": {name: _round(value) for name, value in zip(classes, recall, strict=True)},
    }


def per_class(probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """A row per class: class, recall, precision, f1 and images."""
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, probabilities.argmax(1), labels=np.arange(len(classes)), zero_division=0
    )
    table = pd.DataFrame({"class": classes, "recall": recall, "precision": precision, "f1": f1, "images": support})
    return table.round(5)


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """A row per bin of confidence that has images: mean confidence, accuracy and count."""
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    table = pd.DataFrame({"bin": bins, "confidence": confidence, "accuracy": correct, "count": 1})
    return table.groupby("bin").agg({"confidence": "mean", "accuracy": "mean", "count": "sum"}).reset_index(drop=True)


def _round(value: float) -> float:
    return round(float(value), 5)
