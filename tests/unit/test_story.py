"""What is said of a model's answers is true of them, and plain: each number is what counting rows gives."""

from classifier.results.predictions import NO_TEST, parse_predictions
from classifier.results.story import (
    best_and_worst_class,
    certainty,
    changes,
    how_often_right,
    most_frequent_mistake,
    summary,
    what_it_cannot_do,
    when_to_believe,
    whether_it_is_modest,
)

import pandas as pd
import pytest


def answers(*rows: tuple[str, str, float, int]) -> pd.DataFrame:
    """The answers in predictions.csv, with `count` images of each (label, prediction, confidence, count)."""
    listed = [row[:3] for row in rows for _ in range(row[3])]
    table = pd.DataFrame(listed, columns=["label", "prediction", "confidence"])
    table.insert(0, "index", range(len(table)))
    table.insert(1, "path", "x.png")
    for name in ("cat", "dog"):
        table[name] = table["confidence"].where(table["prediction"] == name, 1 - table["confidence"])
    return parse_predictions(table.to_csv(index=False).encode(), "predictions.csv")


MIXED = answers(("cat", "cat", 0.9, 450), ("cat", "dog", 0.6, 50), ("dog", "dog", 0.9, 480), ("dog", "cat", 0.6, 20))


def test_right_answers_are_told_as_so_many_of_a_hundred_beside_guessing():
    sentence = how_often_right(MIXED, "test")
    assert sentence == (
        "Of 100 images that it had never seen, it gets 93 right; guessing would get 50. Measured on 1,000 images."
    )


def test_fewer_than_a_hundred_images_are_counted_as_they_are():
    sentence = how_often_right(answers(("cat", "cat", 0.9, 30), ("dog", "cat", 0.9, 10)), "test")
    assert sentence.startswith("Of 40 images that it had never seen, it gets 30 right; guessing would get 20.")


@pytest.mark.parametrize(
    ("right", "wrong", "told"), [(999, 1, "more than 99"), (1, 999, "fewer than 1"), (500, 0, "100")]
)
def test_rounding_never_makes_a_model_perfect_or_hopeless(right, wrong, told):
    table = answers(("cat", "cat", 0.9, right), ("cat", "dog", 0.9, wrong))
    assert f"it gets {told} right" in how_often_right(table, "test")


def test_the_classes_known_best_and_least_are_named():
    assert best_and_worst_class(MIXED) == ("It knows “dog” best (96 of 100 recognised) and “cat” least (90 of 100).")


def test_few_images_do_not_tell_which_class_is_known_least():
    table = answers(("cat", "cat", 0.9, 46), ("cat", "dog", 0.6, 4), ("dog", "dog", 0.9, 48), ("dog", "cat", 0.6, 2))
    assert best_and_worst_class(table).endswith("(46 of 50), though with other images it may be another class.")


def test_no_class_is_called_worst_where_all_are_equal():
    table = answers(("cat", "cat", 0.9, 5), ("dog", "dog", 0.9, 5))
    assert best_and_worst_class(table) == "It recognises every class equally well."


def test_the_most_frequent_mistake_has_a_direction():
    assert most_frequent_mistake(MIXED) == (
        "Of its 70 mistakes, the most frequent is to take “cat” for “dog”: 50 of the 500 images of “cat”."
    )


def test_a_model_without_mistakes_is_not_called_perfect():
    assert most_frequent_mistake(answers(("cat", "cat", 0.9, 8))).startswith("It made no mistake on 8 images; ")


def test_single_mistakes_make_no_pattern():
    table = answers(("cat", "dog", 0.9, 1), ("dog", "cat", 0.9, 1))
    assert most_frequent_mistake(table) == "It made 2 mistakes, no two of them alike."


def test_the_lowest_confidence_that_can_be_relied_on_is_named():
    table = answers(
        ("cat", "cat", 0.95, 100), ("cat", "cat", 0.85, 100), ("cat", "dog", 0.75, 50), ("cat", "cat", 0.4, 50)
    )
    assert when_to_believe(table) == (
        "When it is at least 80 % sure, as it is with 67 of 100 images, it is right 100 of 100 times. "
        "When it is less than 50 % sure, it is right 50 of 50 times."
    )


def test_where_no_confidence_can_be_relied_on_the_highest_is_told():
    table = answers(("cat", "cat", 0.95, 60), ("cat", "dog", 0.95, 40), ("cat", "dog", 0.65, 100))
    assert when_to_believe(table) == (
        "When it is at least 90 % sure, as it is with 50 of 100 images, it is right 60 of 100 times."
    )


def test_a_model_that_is_never_sure_is_said_to_be_so():
    assert when_to_believe(answers(("cat", "cat", 0.4, 100))) == "It is seldom more than half sure of an answer."


@pytest.mark.parametrize(
    ("confidence", "told"),
    [(0.6, "more often right than"), (0.99, "less often right than"), (0.91, "as often right as")],
)
def test_confidence_is_compared_with_how_often_it_is_right(confidence, told):
    table = answers(("cat", "cat", confidence, 90), ("cat", "dog", confidence, 10))
    assert f"right in 90 %: it is {told} it says." in whether_it_is_modest(table).replace("about ", "")


def test_all_classes_are_named_and_very_many_are_not():
    assert what_it_cannot_do(["cat", "dog"]).startswith("It knows only these 2 classes: “cat” and “dog”.")
    assert "“c19” and so on." in what_it_cannot_do([f"c{i}" for i in range(100)])


def test_the_summary_has_three_parts():
    parts = summary(MIXED, "test")
    assert list(parts) == ["How good it is", "Where it errs", "When to believe it"]
    assert all(text.endswith(".") for text in parts.values())


def test_certainty_counts_what_became_of_similar_answers_and_ignores_what_the_model_claims():
    modest = answers(("cat", "cat", 0.5, 200), ("dog", "dog", 0.9, 200))  # always right, whatever it says
    boastful = answers(("cat", "dog", 0.99, 10), ("cat", "cat", 0.99, 10), ("dog", "dog", 0.2, 380))
    assert certainty(modest, 0.5, "test") == (
        "very likely right",
        "It was about as sure of 20 test images and got all of them right.",
    )
    assert certainty(boastful, 0.99, "test") == (
        "hardly more than a guess",
        "It was about as sure of 20 test images and got 10 of them right.",
    )


def test_where_nothing_was_held_back_for_a_test_the_story_says_so_and_names_the_images():
    sentence = how_often_right(MIXED, "val")
    assert sentence.startswith("Of 100 images that it had not learnt from, it gets 93 right;")
    assert sentence.endswith(f"Measured on 1,000 images. {NO_TEST}")
    assert NO_TEST in summary(MIXED, "val")["How good it is"]
    assert not any("held back" in text for text in summary(MIXED, "test").values())
    assert certainty(MIXED, 0.9, "val")[1].startswith("It was about as sure of 50 validation images and")


def test_nothing_is_almost_certain_without_many_answers():
    few, many = (answers(("cat", "cat", 0.9, count), ("dog", "dog", 0.9, count)) for count in (1, 1000))
    assert certainty(few, 0.9, "test")[0] != "almost certainly right"
    assert certainty(many, 0.9, "test")[0] == "almost certainly right"


def test_changes_are_counted_and_small_ones_called_chance():
    before = answers(("cat", "dog", 0.6, 1), ("dog", "dog", 0.9, 1), ("cat", "cat", 0.9, 1))
    after = answers(("cat", "cat", 0.6, 1), ("dog", "cat", 0.9, 1), ("cat", "cat", 0.9, 1))
    counts, verdict = changes(before, after)
    assert counts == "Right now and wrong before: 1 image. Wrong now and right before: 1 image."
    assert verdict == "So small a difference can be chance."


@pytest.mark.parametrize("word", ["better", "worse"])
def test_large_changes_are_called_better_or_worse(word):
    bad, good = answers(("cat", "dog", 0.6, 20)), answers(("cat", "cat", 0.6, 20))
    before, after = (bad, good) if word == "better" else (good, bad)
    assert changes(before, after)[1].endswith(f"it has become {word}.")


def test_answers_about_other_images_are_not_compared():
    before = answers(("cat", "dog", 0.6, 1))
    assert "other images" in changes(before, before.assign(path="other.png"))[0]
