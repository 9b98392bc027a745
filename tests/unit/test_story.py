"""What is said of a model's answers is true of them, and plain."""

from classifier import story

import pandas as pd
import pytest


def answers(*rows: tuple[str, str, float]) -> pd.DataFrame:
    """predictions.csv as text, of (label, prediction, confidence)."""
    table = pd.DataFrame(rows, columns=["label", "prediction", "confidence"])
    classes = sorted({*table["label"], *table["prediction"]})
    table = table[[]].assign(index=range(len(table)), path="x.png").join(table)
    for name in classes:
        table[name] = table["confidence"].where(table["prediction"] == name, (1 - table["confidence"]) / len(classes))
    return table.astype(str)


def typed(*rows):
    return story.to_answers(answers(*rows))


MIXED = [("cat", "cat", 0.9)] * 6 + [("cat", "dog", 0.6)] * 3 + [("cat", "frog", 0.5)]
MIXED += [("dog", "dog", 0.9)] * 10 + [("frog", "frog", 0.9)] * 10


def test_text_becomes_numbers_and_the_classes_are_known():
    table = typed(*MIXED)
    assert story.class_names(table) == ["cat", "dog", "frog"]
    assert table["confidence"].sum() == pytest.approx(6 * 0.9 + 3 * 0.6 + 0.5 + 20 * 0.9)
    assert table["index"].tolist() == list(range(30))


def test_a_class_may_be_called_right():
    table = typed(("left", "right", 0.8), ("right", "right", 0.9))
    assert story.is_right(table).tolist() == [False, True]
    assert story.per_class(table).loc["left", ["right", "images", "recall"]].tolist() == [0, 1, 0]


def test_the_summary_says_how_good_it_is_what_is_hardest_and_what_is_confused():
    assert story.summary(typed(*MIXED)) == [
        "It gets 87 of 100 images right (26 of the 30 in the test, which it had never seen).",
        "It finds “cat” hardest: 6 of 10 are right.",
        "Most often it takes “cat” for “dog”: 3 of 10 times.",
    ]


def test_of_a_model_without_mistakes_nothing_bad_is_said():
    assert story.summary(typed(*[("cat", "cat", 0.9), ("dog", "dog", 0.9)] * 5)) == [
        "It gets all images right (10 of the 10 in the test, which it had never seen)."
    ]


@pytest.mark.parametrize(
    ("right", "total", "said"),
    [
        (0, 50, "none"),
        (50, 50, "all"),
        (9999, 10000, "more than 99 of 100"),
        (1, 10000, "fewer than 1 of 100"),
        (347, 359, "97 of 100"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_none(right, total, said):
    assert story.of_100(right, total) == said


def test_certainty_counts_what_became_of_similar_answers_and_ignores_what_the_model_claims():
    modest = [("cat", "cat", 0.5)] * 200 + [("dog", "dog", 0.9)] * 200  # always right, whatever it says
    boastful = [("cat", "dog", 0.99)] * 10 + [("cat", "cat", 0.99)] * 10 + [("dog", "dog", 0.2)] * 380
    assert story.certainty(typed(*modest), 0.5) == (
        "very likely right",
        "It was about as sure of 20 test images and got all of them right.",
    )
    assert story.certainty(typed(*boastful), 0.99) == (
        "hardly more than a guess",
        "It was about as sure of 20 test images and got 10 of them right.",
    )


def test_nothing_is_almost_certain_without_many_answers():
    rows = [("cat", "cat", 0.9), ("dog", "dog", 0.9)]
    assert story.certainty(typed(*rows), 0.9)[0] != "almost certainly right"
    assert story.certainty(typed(*rows * 1000), 0.9)[0] == "almost certainly right"


def test_changes_are_counted_and_small_ones_called_chance():
    before = typed(("cat", "dog", 0.6), ("dog", "dog", 0.9), ("cat", "cat", 0.9))
    after = typed(("cat", "cat", 0.6), ("dog", "cat", 0.9), ("cat", "cat", 0.9))
    counts, verdict = story.changes(before, after)
    assert counts == "Right now and wrong before: 1 image. Wrong now and right before: 1 image."
    assert verdict == "So small a difference can be chance."


@pytest.mark.parametrize("word", ["better", "worse"])
def test_large_changes_are_called_better_or_worse(word):
    bad, good = typed(*[("cat", "dog", 0.6)] * 20), typed(*[("cat", "cat", 0.6), *[("cat", "cat", 0.6)] * 19])
    good = good.assign(dog=0.4)
    before, after = (bad, good) if word == "better" else (good, bad)
    assert story.changes(before, after)[1].endswith(f"it has become {word}.")


def test_answers_about_other_images_are_not_compared():
    before = typed(("cat", "dog", 0.6))
    assert "other images" in story.changes(before, before.assign(path="other.png"))[0]
