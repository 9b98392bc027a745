"""How sure it is which class is worst, and what a change did to a class: each number is what counting gives."""

from classifier.results.intervals import newcombe
from classifier.results.worst import describe_trade, describe_worst, find_worst

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest


def test_the_interval_is_that_of_so_many_images():
    worst = find_worst({"cat": 0.5, "dog": 0.9}, {"cat": 40, "dog": 10})
    interval = binomtest(20, 40).proportion_ci(method="wilson")
    assert (worst.name, worst.right, worst.images) == ("cat", 20, 40)
    assert (worst.other, worst.other_right, worst.other_images) == ("dog", 9, 10)
    assert np.allclose((worst.low, worst.high), interval)


@pytest.mark.parametrize(
    ("images", "clear"),
    [(10, False), (100, True)],  # of 10, half right may be 76 %; of 100, 60 %
)
def test_the_same_recall_is_clear_only_of_enough_images(images, clear):
    worst = find_worst({"cat": 0.5, "dog": 0.7}, dict.fromkeys(("cat", "dog"), images))
    assert worst.clear == clear
    said = describe_worst(worst)
    assert ("cat is worst by more than chance" in said) == clear
    assert ("another seed may find another class" in said) == (not clear)
    assert ("more images of cat to learn from" in said) == (not clear)
    assert f"{images // 2} of {images} validation images" in said


def test_the_few_images_of_the_second_worst_leave_doubt_too():
    """32 right of 35 may be 97.0 % at most, and 34 of 35 are 97.1 %; but these may be 85 % as well."""
    recall = {"cat": 32 / 35, "dog": 34 / 35}
    assert not find_worst(recall, dict.fromkeys(recall, 35)).clear
    assert find_worst(recall, {"cat": 35, "dog": 3500}).clear


def test_of_the_others_the_one_with_few_images_may_be_the_worst_though_another_is_lower():
    worst = find_worst({"cat": 30 / 52, "dog": 0.8, "frog": 9 / 11}, {"cat": 52, "dog": 1000, "frog": 11})
    assert not worst.clear
    assert "Of the nearest of the others, frog, it is 9 of 11" in describe_worst(worst)


def test_the_interval_of_a_difference_is_newcombes():
    """Newcombe (1998), table II, method 10: 56 of 70 against 48 of 80, and 9 of 10 against 3 of 10."""
    assert np.allclose(newcombe(48, 80, 56, 70), (0.0524, 0.3339), atol=5e-5)
    assert np.allclose(newcombe(3, 10, 9, 10), (0.1705, 0.8090), atol=5e-5)


def test_the_second_worst_is_the_lowest_of_the_others():
    recall = {"cat": 0.9, "dog": 0.5, "frog": 0.7}
    assert find_worst(recall, dict.fromkeys(recall, 50)).other == "frog"
    assert find_worst(recall, dict.fromkeys(recall, 50), "frog").other == "dog"


def test_a_class_that_is_named_and_is_not_the_worst_is_not_called_so():
    recall = {"cat": 0.9, "dog": 0.5}
    assert describe_worst(find_worst(recall, dict.fromkeys(recall, 50), "cat")).endswith("cat is not the worst.")


@pytest.mark.parametrize("value", [1.0, 0.9, 0.0])
def test_where_all_are_recognised_equally_well_there_is_no_worst(value):
    recall = dict.fromkeys(("cat", "dog"), value)
    images = dict.fromkeys(recall, 20)
    assert find_worst(recall, images) is None
    assert find_worst(recall, images, "dog").name == "dog"  # whoever names a class has reasons


def test_a_class_without_validation_images_is_not_the_worst():
    assert find_worst({"cat": 0.8, "dog": 0.0, "frog": 0.9}, {"cat": 10, "dog": 0, "frog": 10}).name == "cat"
    assert find_worst({"cat": 1.0, "dog": 0.0}, {"cat": 10, "dog": 0}) is None


def test_a_class_without_validation_images_that_is_named_is_spoken_of():
    worst = find_worst({"cat": 1.0, "dog": 0.0}, {"cat": 10, "dog": 0}, "dog")
    assert "0 of 0 validation images" in describe_worst(worst)
    assert not worst.clear


def answers(*right: tuple[str, int, int]) -> pd.DataFrame:
    """The answers for `count` images of each label, of which those from `wrong` on are right."""
    rows = [(name, name if i >= wrong else "other") for name, wrong, count in right for i in range(count)]
    return pd.DataFrame(rows, columns=["label", "prediction"])


def test_a_trade_counts_what_one_class_gains_and_the_others_pay():
    said = describe_trade(
        answers(("cat", 10, 20), ("dog", 0, 80)), answers(("cat", 1, 20), ("dog", 8, 80)), "cat", "test"
    )
    assert "Of 20 test images of cat, 19 are recognised instead of 10 (95.0% instead of 50.0%)" in said
    assert "which is more than chance: 9 right now and wrong before, 0 the other way round" in said
    assert f"p = {binomtest(9, 9).pvalue:.2g}" in said
    assert "Of the 80 of other classes, 72 are recognised instead of 80 (90.0% instead of 100.0%)" in said
    assert f"p = {binomtest(0, 8).pvalue:.2g}" in said
    assert "Accuracy is 91.0% instead of 90.0%" in said
    assert "only several seeds can tell" in said


def test_a_trade_that_chance_can_make_says_so():
    said = describe_trade(
        answers(("cat", 3, 20), ("dog", 0, 80)), answers(("cat", 1, 20), ("dog", 1, 80)), "cat", "val"
    )
    assert said.count("which may be chance") == 2
    assert "Of 20 validation images of cat" in said
    assert "more than chance" not in said
