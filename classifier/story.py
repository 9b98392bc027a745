"""What predictions.csv says of the model, in sentences for people who train none.

Every sentence can be checked by counting rows. Numbers are "90 of 100", which reads as what would happen
with the next hundred images, or plain counts where there are fewer images than that.
"""

from pathlib import Path

from classifier.errors import InputError

import pandas as pd

PATH = Path("predictions.csv")
COLUMNS = ["index", "path", "label", "prediction", "confidence"]  # a column per class follows
LEVELS = (0.9, 0.8, 0.7, 0.6, 0.5)  # of confidence, from which one is chosen to speak of
RELIABLE = 0.99  # share of right answers
FEW = 20  # images: a share of fewer says little
NEARLY = 0.03  # confidence and accuracy that differ by less are called equal


def load_predictions(path: str | Path = PATH) -> pd.DataFrame:
    """predictions.csv as evaluate.py writes it; class names are text, also `7` and `nan`.

    Raises:
        InputError: if it is missing, empty or another table.
    """
    try:
        table = pd.read_csv(path, dtype={"label": str, "prediction": str}, keep_default_na=False)
        table = table.astype({"index": int, "confidence": float})
    except FileNotFoundError:
        raise InputError(f"{path} not found: run `dvc repro`, or fetch it with `dvc pull`.") from None
    except (ValueError, KeyError) as error:
        raise InputError(f"{path} is not what evaluate.py writes ({error}): run `dvc repro`.") from None
    if list(table.columns[: len(COLUMNS)]) != COLUMNS or table.empty:
        raise InputError(f"{path} is not what evaluate.py writes: run `dvc repro`.")
    return table


def summary(predictions: pd.DataFrame, classes: list[str]) -> dict[str, str]:
    """A few sentences under each of four headings, in the order in which to read them."""
    return {
        "How good it is": f"{how_often_right(predictions, classes)} {best_and_worst_class(predictions)}",
        "Where it errs": most_frequent_mistake(predictions),
        "When to believe it": f"{when_to_believe(predictions)} {whether_it_is_modest(predictions)}",
        "What it cannot do": what_it_cannot_do(classes),
    }


def how_often_right(predictions: pd.DataFrame, classes: list[str]) -> str:
    """Of 100 images that it had never seen, it gets 90 right; guessing would get 10. Measured on 10,000 images."""
    right = _is_right(predictions)
    total = min(100, len(right))
    guessed = total / len(classes)
    return (
        f"Of {_images(total)} that it had never seen, it gets {_share(right)} right; "
        f"guessing would get {guessed:.0f}. Measured on {_images(len(right))}."
    )


def best_and_worst_class(predictions: pd.DataFrame) -> str:
    """It knows “automobile” best (96 of 100 are recognised) and “cat” least (80 of 100)."""
    recall = recall_per_class(predictions)
    best, worst = next(iter(recall)), next(reversed(recall))
    if recall[best] == recall[worst]:
        return "It recognises every class equally well."
    shares = {name: _of(_is_right(predictions[predictions["label"] == name])) for name in (best, worst)}
    return f"It knows “{best}” best ({shares[best]} recognised) and “{worst}” least ({shares[worst]})."


def recall_per_class(predictions: pd.DataFrame) -> dict[str, float]:
    """The share of each class's images that is recognised, the best class first."""
    recall = _is_right(predictions).groupby(predictions["label"]).mean()
    return recall.sort_values(ascending=False, kind="stable").to_dict()


def most_frequent_mistake(predictions: pd.DataFrame) -> str:
    """Most often it takes “dog” for “cat”: 95 of the 1,000 images of “dog”."""
    wrong = predictions[~_is_right(predictions)]
    if wrong.empty:
        return f"It made no mistake on {_images(len(predictions))}; others will show one sooner or later."
    pairs = wrong.groupby(["label", "prediction"]).size()
    label, prediction = pairs.idxmax()
    count, images = pairs.max(), (predictions["label"] == label).sum()
    if count == 1:
        return f"It made {_mistakes(len(wrong))}, no two of them alike."
    return (
        f"Of its {_mistakes(len(wrong))}, the most frequent is to take “{label}” for “{prediction}”: "
        f"{count:,} of the {_images(images)} of “{label}”."
    )


def when_to_believe(predictions: pd.DataFrame) -> str:
    """When it is at least 80 % sure, as it is with 50 of 100 images, it is right more than 99 of 100 times. …

    The lowest level at which it is that reliable, or else the highest that enough images reach.
    """
    confidence, right = predictions["confidence"], _is_right(predictions)
    needed = max(FEW, len(right) / 20)
    levels = [level for level in LEVELS if (confidence >= level).sum() >= needed]
    if not levels:
        return "It is seldom more than half sure of an answer."
    reliable = [level for level in levels if right[confidence >= level].mean() >= RELIABLE]
    level = reliable[-1] if reliable else levels[0]
    sure = confidence >= level
    sentence = (
        f"When it is at least {level * 100:.0f} % sure, as it is with {_of(sure)} images, "
        f"it is right {_of(right[sure])} times."
    )
    unsure = confidence < 0.5
    if unsure.sum() >= FEW:
        sentence += f" When it is less than 50 % sure, it is right {_of(right[unsure])} times."
    return sentence


def whether_it_is_modest(predictions: pd.DataFrame) -> str:
    """On average it claims 72 % and is right in 90 %: it is more often right than it says."""
    claimed, right = predictions["confidence"].mean(), _is_right(predictions).mean()
    verdict = "it is more often right than it says" if right > claimed else "it is less often right than it says"
    if abs(right - claimed) < NEARLY:
        verdict = "it is about as often right as it says"
    return f"On average it is {claimed * 100:.0f} % sure and right in {right * 100:.0f} %: {verdict}."


def what_it_cannot_do(classes: list[str]) -> str:
    """It knows only these 3 classes: “cat”, “dog” and “frog”. Whatever it is shown, it names one of them."""
    named = [f"“{name}”" for name in classes]
    listed = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) <= 20 else f"{', '.join(named[:20])} and so on"
    return f"It knows only these {len(classes)} classes: {listed}. Whatever it is shown, it names one of them."


def _is_right(predictions: pd.DataFrame) -> pd.Series:
    return predictions["label"] == predictions["prediction"]


def _share(flags: pd.Series) -> str:
    """How many of 100 are true; never "100" or "0" where there is an exception."""
    count, total = int(flags.sum()), len(flags)
    if total <= 100:
        return str(count)
    of_hundred = round(100 * count / total)
    if of_hundred == 100 and count < total:
        return "more than 99"
    return "fewer than 1" if of_hundred == 0 and count else str(of_hundred)


def _of(flags: pd.Series) -> str:
    """90 of 100."""
    return f"{_share(flags)} of {min(100, len(flags))}"


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _mistakes(count: int) -> str:
    return f"{count:,} mistake{'' if count == 1 else 's'}"
