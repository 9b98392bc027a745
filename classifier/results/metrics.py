"""The numbers of metrics.json and the tables behind the plots."""

from typing import Any

from classifier.results.intervals import wilson
from classifier.results.order import reading_order

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support, recall_score

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
    """A row per class, in reading order: class, recall and its 95 % interval, precision, f1 and images."""
    predictions = probabilities.argmax(1)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predictions, labels=np.arange(len(classes)), zero_division=0
    )
    low, high = wilson(np.bincount(labels[labels == predictions], minlength=len(classes)), support)
    table = pd.DataFrame({"class": classes, "recall": recall, "recall_low": low, "recall_high": high})
    table = table.assign(precision=precision, f1=f1, images=support).round(5)
    return table.iloc[reading_order(classes)].reset_index(drop=True)


def confusion(probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """label, prediction, images and their share of the label's images: the confusion matrix without its empty cells.

    The diagonal comes first, whole, so that both columns name the classes in reading order.
    """
    order = np.array(reading_order(classes))
    names, matrix = np.array(classes)[order], confusion_matrix(labels, probabilities.argmax(1), labels=order)
    diagonal = np.arange(len(classes))
    wrong, taken_for = np.nonzero(matrix - np.diag(np.diag(matrix)))
    rows, columns = np.append(diagonal, wrong), np.append(diagonal, taken_for)
    images = matrix[rows, columns]
    share = images / np.maximum(matrix.sum(1), 1)[rows]
    table = pd.DataFrame({"label": names[rows], "prediction": names[columns], "images": images, "share": share})
    return table.round(5)


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """A row per bin of confidence that has images: bin, mean confidence, accuracy and its 95 % interval, and count."""
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    table = pd.DataFrame({"bin": bins, "confidence": confidence, "accuracy": correct, "right": correct, "count": 1})
    found = table.groupby("bin").agg({"confidence": "mean", "accuracy": "mean", "right": "sum", "count": "sum"})
    low, high = wilson(found["right"], found["count"])
    found = found.assign(accuracy_low=low, accuracy_high=high).drop(columns="right").reset_index()
    return found.assign(bin=[f"{i / CALIBRATION_BINS:.0%}–{(i + 1) / CALIBRATION_BINS:.0%}" for i in found["bin"]])


def _round(value: float) -> float:
    return round(float(value), 5)
