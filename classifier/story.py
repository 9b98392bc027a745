"""What a model's answers for the test images amount to, in sentences for people who do not know the terms.

Answers are predictions.csv as a DataFrame: a row per test image with path, label, prediction, confidence
and a column per class.
"""

import pandas as pd

ALIKE = (20, 100)  # how many answers of about the same confidence are counted: at least, at most

CERTAINTY = {  # what to call an answer, by the share of such answers that were right
    0.99: "almost certainly right",
    0.95: "very likely right",
    0.8: "probably right",
    0.6: "not sure",
    0.0: "hardly more than a guess",
}


def to_answers(predictions: pd.DataFrame) -> pd.DataFrame:
    """predictions.csv as text, the way classifier.runs reads it, with numbers where it holds numbers."""
    return predictions.astype({"index": int} | dict.fromkeys(["confidence", *class_names(predictions)], float))


def class_names(answers: pd.DataFrame) -> list[str]:
    """The classes, in the order of the model's outputs."""
    columns = list(answers)
    return columns[columns.index("confidence") + 1 :]


def is_right(answers: pd.DataFrame) -> pd.Series:
    return answers["label"] == answers["prediction"]


def per_class(answers: pd.DataFrame) -> pd.DataFrame:
    """A row per class: how many images are `right`, of how many `images`, and the quotient `recall`."""
    table = is_right(answers).groupby(answers["label"]).agg(right="sum", images="size").reindex(class_names(answers))
    return table.assign(recall=table["right"] / table["images"])


def mistakes(answers: pd.DataFrame) -> pd.DataFrame:
    """label, prediction and count of each confusion, the most frequent first."""
    wrong = answers[~is_right(answers)]
    counted = wrong.groupby(["label", "prediction"]).size().reset_index(name="count")
    return counted.sort_values(["count", "label", "prediction"], ascending=[False, True, True], ignore_index=True)


def summary(answers: pd.DataFrame) -> list[str]:
    """How good the model is, which class is hardest and what it confuses: a sentence each."""
    right, images = int(is_right(answers).sum()), len(answers)
    tested = f"{right:,} of the {images:,} in the test, which it had never seen"
    sentences = [f"It gets {of_100(right, images)} images right ({tested})."]
    if right == images:
        return sentences
    classes = per_class(answers)
    worst = classes.loc[classes["recall"].idxmin()]
    sentences.append(f"It finds {quote(worst.name)} hardest: {worst.right:.0f} of {worst.images:.0f} are right.")
    label, prediction, count = mistakes(answers).iloc[0]
    times = f"{count} of {classes.loc[label, 'images']:.0f} times"
    sentences.append(f"Most often it takes {quote(label)} for {quote(prediction)}: {times}.")
    return sentences


def certainty(answers: pd.DataFrame, confidence: float) -> tuple[str, str]:
    """What an answer of this confidence is worth: in a word, and as what became of the most similar test answers.

    Models trained with label smoothing are right more often than their confidence says, others less often:
    counting needs to know nothing of that.
    """
    at_least, at_most = ALIKE
    count = min(len(answers), max(at_least, min(len(answers) // 20, at_most)))
    alike = is_right(answers)[(answers["confidence"] - confidence).abs().nsmallest(count).index]
    share = (alike.sum() + 1) / (count + 2)  # Laplace's rule: a few answers, all right, do not prove certainty
    word = next(word for least, word in CERTAINTY.items() if share >= least)
    right = "all" if alike.all() else alike.sum()
    return word, f"It was about as sure of {count} test images and got {right} of them right."


def changes(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """What became of the answers for the same images, and whether that may be chance: a sentence each."""
    from classifier.significance import mcnemar  # scipy takes a second to import

    if not before[["path", "label"]].equals(after[["path", "label"]]):
        return ["It was tested on other images then, so the answers cannot be compared one by one."]
    test = mcnemar(before, after)
    fixed, broken = test["only_other"], test["only_reference"]
    counts = f"Right now and wrong before: {images(fixed)}. Wrong now and right before: {images(broken)}."
    if not fixed and not broken:
        return [counts]
    verdict = {
        "higher": "That is more than chance would do: it has become better.",
        "lower": "That is more than chance would do: it has become worse.",
    }
    return [counts, verdict.get(test["verdict"], "So small a difference can be chance.")]


def of_100(right: int, total: int) -> str:
    """97 of 100, but never rounded to all or none of them."""
    if right in (0, total):
        return "all" if right else "none"
    share = 100 * right / total
    if not 1 <= share <= 99:
        return "more than 99 of 100" if right > total / 2 else "fewer than 1 of 100"
    return f"{share:.0f} of 100"


def images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def quote(name: str) -> str:
    return f"“{name}”"
