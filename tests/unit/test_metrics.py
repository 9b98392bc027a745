"""Metrics against values worked out by hand."""

from classifier.results.intervals import wilson
from classifier.results.metrics import confusion, per_class, reliability, summarize
from classifier.results.order import reading_order

import numpy as np
import pytest
from scipy.stats import binomtest

CLASSES = ["cat", "dog", "frog"]


def predict(predictions: list[int], confidence: float = 0.8) -> np.ndarray:
    """Probabilities that predict these classes, each with the given confidence."""
    probabilities = np.full((len(predictions), 3), (1 - confidence) / 2)
    probabilities[np.arange(len(predictions)), predictions] = confidence
    return probabilities


LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
PREDICTIONS = [0, 0, 0, 1, 1, 1, 0, 2, 0, 1]  # recalls 3/4, 2/3, 1/3


def test_accuracy_and_recalls_are_counted():
    metrics = summarize(predict(PREDICTIONS), LABELS, CLASSES)
    assert metrics["accuracy"] == 0.6
    assert metrics["recall"] == {"cat": 0.75, "dog": 0.66667, "frog": 0.33333}
    assert metrics["macro_recall"] == 0.58333


def test_the_worst_class_has_the_lowest_recall():
    metrics = summarize(predict(PREDICTIONS), LABELS, CLASSES)
    assert (metrics["worst_class"], metrics["worst_recall"]) == ("frog", 0.33333)


def test_the_loss_is_the_mean_negative_log_likelihood():
    metrics = summarize(predict(PREDICTIONS), LABELS, CLASSES)
    assert metrics["loss"] == pytest.approx(-(6 * np.log(0.8) + 4 * np.log(0.1)) / 10, abs=1e-5)


def test_a_perfect_model_has_no_calibration_error():
    metrics = summarize(predict(list(LABELS), 1.0), LABELS, CLASSES)
    assert (metrics["accuracy"], metrics["ece"], metrics["loss"]) == (1, 0, 0)


def test_a_model_as_often_right_as_it_is_confident_has_no_calibration_error():
    assert summarize(predict(PREDICTIONS, 0.6), LABELS, CLASSES)["ece"] == pytest.approx(0, abs=1e-5)


def test_the_calibration_error_of_an_overconfident_model_is_the_gap():
    assert summarize(predict(PREDICTIONS, 0.97), LABELS, CLASSES)["ece"] == pytest.approx(0.37, abs=1e-5)


def test_gaps_in_both_directions_do_not_cancel_out():
    probabilities = np.vstack([predict([0] * 5, 0.9), predict([0] * 5, 0.5)])
    labels = np.array([0, 0, 1, 1, 1, 0, 0, 0, 0, 1])  # 40 % right at 0.9, 80 % right at 0.5
    assert summarize(probabilities, labels, CLASSES)["ece"] == pytest.approx(0.4, abs=1e-5)


def test_a_class_without_images_has_a_recall_of_zero():
    metrics = summarize(predict([0, 1]), np.array([0, 1]), CLASSES)
    assert metrics["recall"]["frog"] == 0
    assert metrics["worst_class"] == "frog"


def test_metrics_are_plain_values_that_json_can_hold():
    metrics = summarize(predict(PREDICTIONS), LABELS, CLASSES)
    values = [*metrics.values(), *metrics["recall"].values()]
    assert {type(value) for value in values} == {float, str, dict}


def test_the_table_per_class_counts_precision_recall_f1_and_images():
    table = per_class(predict(PREDICTIONS), LABELS, CLASSES).set_index("class")
    assert list(table.columns) == ["recall", "recall_low", "recall_high", "precision", "f1", "images"]
    counted = table.drop(columns=["recall_low", "recall_high"])
    assert counted.loc["cat"].tolist() == [0.75, 0.6, 0.66667, 4]
    assert counted.loc["dog"].tolist() == [0.66667, 0.5, 0.57143, 3]
    assert counted.loc["frog"].tolist() == [0.33333, 1.0, 0.5, 3]
    assert table.loc["cat", ["recall_low", "recall_high"]].tolist() == [0.30064, 0.95441]  # of 3 in 4


def test_wilsons_interval_is_that_of_scipy_and_holds_where_all_or_none_are_right():
    right, images = np.array([0, 3, 21, 50, 1000]), np.array([4, 4, 36, 50, 1000])
    expected = [binomtest(r, n).proportion_ci(method="wilson") for r, n in zip(right, images, strict=True)]
    assert np.transpose(wilson(right, images)) == pytest.approx(np.array(expected), abs=1e-12)
    assert wilson(np.array([0]), np.array([0])) == (0, 1)


def test_the_confusion_matrix_has_its_diagonal_first_and_no_other_empty_cells():
    table = confusion(predict([0, 0, 0, 1, 1, 1, 0, 0, 0, 1]), LABELS, CLASSES)  # no frog is recognised
    assert table.to_numpy().tolist() == [
        ["cat", "cat", 3, 0.75],
        ["dog", "dog", 2, 0.66667],
        ["frog", "frog", 0, 0],
        ["cat", "dog", 1, 0.25],
        ["dog", "cat", 1, 0.33333],
        ["frog", "cat", 2, 0.66667],
        ["frog", "dog", 1, 0.33333],
    ]


@pytest.mark.parametrize(
    "classes, expected",
    [
        (["eight", "one", "two"], ["one", "two", "eight"]),
        (["eight", "one", "sea"], ["eight", "one", "sea"]),
        (["10", "2", "2b"], ["2", "2b", "10"]),
        (["v10 a", "v9 b"], ["v9 b", "v10 a"]),
        (["truck", "cat", "dog"], ["truck", "cat", "dog"]),  # not by the alphabet: the dataset's own order
        (["two", "one"], ["two", "one"]),
        (["Zebra", "ape", "bear"], ["Zebra", "ape", "bear"]),
    ],
)
def test_classes_are_shown_in_the_order_that_people_expect(classes, expected):
    assert [classes[i] for i in reading_order(classes)] == expected


def test_the_tables_of_the_plots_have_that_order():
    labels, classes = np.array([0, 1, 2]), ["eight", "one", "two"]
    assert per_class(predict([0, 0, 2]), labels, classes)[["class", "recall"]].to_numpy().tolist() == [
        ["one", 0],
        ["two", 1],
        ["eight", 1],
    ]
    table = confusion(predict([0, 0, 2]), labels, classes)
    assert table[["label", "prediction", "images"]].to_numpy().tolist() == [
        ["one", "one", 0],
        ["two", "two", 1],
        ["eight", "eight", 1],
        ["one", "eight", 1],
    ]


def test_the_reliability_table_has_a_row_per_bin_that_has_images():
    probabilities = np.vstack([predict([0, 0, 0, 0], 0.9), predict([1, 1], 0.5), predict([2], 1.0)])
    table = reliability(probabilities, np.array([0, 0, 0, 1, 1, 0, 2]))
    assert table["confidence"].tolist() == pytest.approx([0.5, 0.9, 1.0])
    assert table["accuracy"].tolist() == pytest.approx([0.5, 0.75, 1.0])
    assert table["count"].tolist() == [2, 4, 1]
    assert table["bin"].tolist() == ["47%–53%", "87%–93%", "93%–100%"]
    assert (table["accuracy_low"] < table["accuracy"]).all()
    assert table["accuracy_high"].tolist() == pytest.approx([0.90547, 0.95441, 1], abs=1e-5)
