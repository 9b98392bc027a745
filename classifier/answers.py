"""What the model answered for the test images: predictions.csv as a table of numbers, and what counting gives.

A row per test image: index, path, label, prediction, confidence and a column per class.
"""

from pathlib import Path

from classifier.errors import InputError

import pandas as pd

PATH = Path("predictions.csv")


def load_answers() -> pd.DataFrame:
    """The answers that evaluate.py wrote; class names are text, also `7` and `nan`.

    Raises:
        InputError: if predictions.csv is missing, empty or another table.
    """
    try:
        answers = to_answers(pd.read_csv(PATH, dtype=str, keep_default_na=False))
    except FileNotFoundError:
        raise InputError(f"{PATH} not found: run `dvc repro`, or fetch results with `dvc pull`.") from None
    except (ValueError, KeyError) as error:
        raise InputError(f"{PATH} is not what evaluate.py writes ({error}): run `dvc repro`.") from None
    if answers.empty:
        raise InputError(f"{PATH} is not what evaluate.py writes: run `dvc repro`.")
    return answers


def to_answers(predictions: pd.DataFrame) -> pd.DataFrame:
    """predictions.csv as text, the way classifier.predictions reads it, with numbers where it holds numbers.

    Raises:
        ValueError, KeyError: if it is another table.
    """
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
