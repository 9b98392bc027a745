"""predictions.csv, what the model answered for the test images, and what counting its rows gives.

Where nothing was held back for a test, they are the validation images, and whoever shows a number says NO_TEST.
A row per image: the columns COLUMNS, then a column per class with the probability of that class.
"""

import io
from collections.abc import Callable

from classifier.data.prepared import list_prepared
from classifier.data.rows import Rows
from classifier.errors import InputError, shown
from classifier.files import write_table
from classifier.paths import CHECKPOINT, COLUMNS, LISTING, PREDICTIONS, PREPARED

import numpy as np
import pandas as pd

IMAGE = {"test": "test image", "val": "validation image"}  # what a row is about, by the split of all
NO_TEST = (
    "Nothing was held back for a test: these numbers are of the validation images, by which choices were made, "
    "so they may flatter."
)
WORST = 32  # mistakes to show
SAMPLE = 20  # images that are enough to tell two models apart
ROUNDING = 0.05  # between probabilities: more than another kind of machine makes, less than another model does


def make_predictions(probabilities: np.ndarray, labels: np.ndarray, classes: list[str], split: str) -> pd.DataFrame:
    """The table for the prepared images of a split.

    Args:
        probabilities: float64 [N, num_classes].
        labels: int64 [N].
        classes: the class names, in the order of the columns.
        split: test or val.

    Raises:
        InputError: if prepared/images.csv lists another number of images of the split.
    """
    paths = list_prepared(split)["path"].to_numpy()
    if len(paths) != len(labels):
        raise InputError(f"{LISTING} lists {len(paths)} {IMAGE[split]}s, not {len(labels)}: run `dvc repro`.")
    names = np.array(classes)
    answers = (np.arange(len(labels)), paths, names[labels], names[probabilities.argmax(1)], probabilities.max(1))
    table = pd.DataFrame(dict(zip(COLUMNS, answers, strict=True)))
    return pd.concat([table, pd.DataFrame(probabilities, columns=classes)], axis=1).round(6)


def write_predictions(predictions: pd.DataFrame) -> None:
    """Write predictions.csv."""
    write_table(PREDICTIONS, predictions)


def load_predictions() -> pd.DataFrame:
    """The predictions that evaluate.py wrote.

    Raises:
        InputError: if predictions.csv is missing, empty or another table.
    """
    try:
        return parse_predictions(PREDICTIONS.read_bytes(), str(PREDICTIONS))
    except FileNotFoundError:
        raise InputError(f"{PREDICTIONS} not found: run `dvc repro`, or fetch results with `dvc pull`.") from None


def parse_predictions(content: bytes, name: str) -> pd.DataFrame:
    """The table in `content`; class names are text, also `7` and `nan`. Errors call it `name`.

    Raises:
        InputError: if it is empty or another table.
    """
    try:
        table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
        if tuple(table)[: len(COLUMNS)] != COLUMNS:
            raise ValueError(f"its columns do not begin with {', '.join(COLUMNS)}")
        table = table.astype({"index": int} | dict.fromkeys(["confidence", *class_names(table)], float))
        if table.empty:
            raise ValueError("no rows")
        _require_sense(table)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name} is not what evaluate.py writes ({error}): run `dvc repro`.") from None
    return table


def _require_sense(table: pd.DataFrame) -> None:
    """Raises ValueError where a table has the right columns and values that evaluate.py cannot have written."""
    names = class_names(table)
    if unknown := (set(table["label"]) | set(table["prediction"])) - set(names):
        raise ValueError(f"{shown(min(unknown))} is a label or prediction, and no column")
    if not table[["confidence", *names]].apply(lambda column: column.between(0, 1)).all(axis=None):
        raise ValueError("a confidence or probability is not between 0 and 1")
    if (table["index"] < 0).any() or table["index"].duplicated().any():
        raise ValueError("an index is negative or stands twice")


def require_prepared(predictions: pd.DataFrame) -> str:
    """The split of prepared/ that the predictions are for: test, or val where nothing was held back for a test.

    Raises:
        InputError: if they are for other images, or prepared/ is incomplete.
    """
    for split in IMAGE:
        if list_prepared(split)["path"].tolist() == predictions["path"].tolist():
            return split
    raise InputError(f"{PREDICTIONS} is about other images than {PREPARED}/: run `dvc repro`.")


def require_same_model(
    predictions: pd.DataFrame,
    images: np.ndarray | Rows,
    classes: list[str],
    predict: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Ask a model about some of the images again, so that nobody shows it with the results of another.

    Args:
        predictions: the table.
        images: uint8 [N, 3, H, W], a row's each.
        classes: what the model tells apart.
        predict: from such images to probabilities, float64 [n, num_classes], as `evaluate` in params.yaml wants it.

    Raises:
        InputError: if the answers differ by more than rounding.
    """
    sample = np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).astype(int)
    same = classes == class_names(predictions) and np.allclose(
        predict(images[sample]), predictions.iloc[sample][classes], rtol=0, atol=ROUNDING
    )
    if not same:
        raise InputError(
            f"{PREDICTIONS} is not what {CHECKPOINT} says with the section `evaluate` of params.yaml: run `dvc repro`."
        )


def class_names(predictions: pd.DataFrame) -> list[str]:
    """The classes, in the order of the model's outputs."""
    return list(predictions)[len(COLUMNS) :]


def is_right(predictions: pd.DataFrame) -> pd.Series:
    return predictions["label"] == predictions["prediction"]


def same_images(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Whether two tables are about the same images, with the same labels: only then rows can be compared."""
    return a[["path", "label"]].equals(b[["path", "label"]])


def count_right(predictions: pd.DataFrame) -> pd.DataFrame:
    """A row per class: how many images are `right`, of how many `images`, and the quotient `recall`."""
    grouped = is_right(predictions).groupby(predictions["label"])
    table = grouped.agg(right="sum", images="size").reindex(class_names(predictions))
    return table.assign(recall=table["right"] / table["images"])


def worst_mistakes(predictions: pd.DataFrame, count: int = WORST) -> pd.DataFrame:
    """The rows of the `count` wrong answers given most confidently, the most confident first."""
    wrong = predictions[~is_right(predictions)]
    return wrong.sort_values(["confidence", "index"], ascending=[False, True]).head(count)


def mistakes(predictions: pd.DataFrame) -> pd.DataFrame:
    """label, prediction and count of each confusion, the most frequent first."""
    wrong = predictions[~is_right(predictions)]
    counted = wrong.groupby(["label", "prediction"]).size().reset_index(name="count")
    return counted.sort_values(["count", "label", "prediction"], ascending=[False, True, True], ignore_index=True)
