"""Likely label errors, by confident learning (Northcutt, Jiang and Chuang, arXiv 1911.00068).

Each image is judged by a logistic regression on a network's features that has not learnt from it, nor from its
near-duplicates. A class is said with confidence where its probability is at least what images of that label get on
average. Counting which label is confidently said to be which class estimates how many labels are wrong; so many
images, those to whose label the least probability is given, are called likely errors (`low_self_confidence` of
cleanlab). The estimate is low where a network has learnt from the errors, so the others whose label is not the most
probable class follow.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

FOLDS = 5
STRENGTHS = (0.001, 0.01, 0.1)  # of C, by which the regression may follow the data; the least loss decides
STEPS = 300


def judge(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """What other images say of each image: probabilities, float64 [N, num_classes].

    In a second round the likely errors of the first one teach no more. An image whose class no image of other
    groups has is not judged: its label gets 1.

    Args:
        features: float [N, features].
        labels: int [N], from 0 to num_classes - 1.
        groups: int [N]: images of one group, such as near-duplicates, do not judge each other.
    """
    spread = features.std(0)
    scaled = (features - features.mean(0)) / np.where(spread > 0, spread, 1)
    largest = int(np.bincount(labels).max())
    if largest == 1:  # nobody can judge
        return np.eye(labels.max() + 1)[labels]
    folds = StratifiedGroupKFold(min(FOLDS, largest), shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a rank is wanted, not the last digit
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer images than folds, which is handled
        parts = list(folds.split(scaled, labels, groups))
        teaching = np.ones(len(labels), bool)
        tried = {c: _out_of_fold(scaled, labels, parts, teaching, c) for c in STRENGTHS}
        best = min(STRENGTHS, key=lambda c: _loss(tried[c], labels))
        ranked, likely = rank_labels(tried[best], labels)
        teaching[ranked[:likely]] = False
        return _out_of_fold(scaled, labels, parts, teaching, best)


def rank_labels(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, int]:
    """The images whose label is not the most probable class, the likeliest error first, and how many are likely errors.

    Args:
        probabilities: float [N, num_classes], for each image by a model that has not learnt from it.
        labels: int [N].

    Returns:
        indices, int [M], and a number up to M.
    """
    given = probabilities[np.arange(len(labels)), labels]
    other = np.flatnonzero(probabilities.argmax(1) != labels)
    ranked = other[np.argsort(given[other], kind="stable")]
    return ranked, min(len(ranked), count_label_errors(probabilities, labels))


def count_label_errors(probabilities: np.ndarray, labels: np.ndarray) -> int:
    """How many labels are wrong, estimated by the confident joint: what is confidently said against what is written."""
    classes = probabilities.shape[1]
    written = np.bincount(labels, minlength=classes)
    given = np.bincount(labels, probabilities[np.arange(len(labels)), labels], classes)
    expected = np.where(written > 0, given / np.maximum(written, 1), np.inf)
    confident = np.where(probabilities >= expected, probabilities, -1)
    said, known = confident.argmax(1), (confident >= 0).any(1)
    joint = np.zeros((classes, classes))
    np.add.at(joint, (labels[known], said[known]), 1)
    shares = joint / np.maximum(joint.sum(1, keepdims=True), 1)
    return round(float((shares.sum(1) - shares.diagonal()) @ written))


def _out_of_fold(
    features: np.ndarray,
    labels: np.ndarray,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    teaching: np.ndarray,
    strength: float,
) -> np.ndarray:
    probabilities = np.zeros((len(labels), labels.max() + 1))
    for learn, judged in parts:
        learn = learn[teaching[learn]]
        known = np.unique(labels[learn])
        if len(known) > 1:
            model = LogisticRegression(C=strength, max_iter=STEPS, tol=1e-3).fit(features[learn], labels[learn])
            probabilities[np.ix_(judged, known)] = model.predict_proba(features[judged])
        alone = judged[~np.isin(labels[judged], known)] if len(known) > 1 else judged
        probabilities[alone] = np.eye(probabilities.shape[1])[labels[alone]]
    return probabilities


def _loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    given = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(given.clip(1e-12)).mean())
