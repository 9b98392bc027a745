"""Stage 3: measure the model.

Reads  models/classifier.safetensors, prepared/{val,test}.safetensors, prepared/dataset.json,
       prepared/images.csv and the section `evaluate` of params.yaml.
Writes metrics.json, predictions.csv (test split) and plots/*.csv, plots/*.png. Where nothing was held back for a
       test, all of it is of the validation split, and says so.

    python evaluate.py
"""

from classifier.reproducibility import keep_large_blocks

keep_large_blocks()  # before torch allocates anything

from classifier.config import load_params
from classifier.data.description import load_description
from classifier.data.prepared import map_split
from classifier.data.rows import Rows
from classifier.errors import InputError, run
from classifier.files import atomic_write, write_json, write_table
from classifier.network.checkpoint import require_same_classes
from classifier.network.predictor import Predictor
from classifier.paths import (
    CHECKPOINT,
    CONFUSION,
    CROSS_SECTION_PICTURE,
    METRICS,
    MISTAKES_PICTURE,
    PER_CLASS,
    RELIABILITY,
)
from classifier.results.metrics import confusion, per_class, reliability, summarize
from classifier.results.plots import image_grid
from classifier.results.predictions import (
    IMAGE,
    NO_TEST,
    is_right,
    make_predictions,
    worst_mistakes,
    write_predictions,
)
from classifier.tracking.tracker import start_run

import numpy as np
import pandas as pd

CROSS_SECTION = 32  # images
NOTE = "nothing was held back for a test"  # NO_TEST where there is little room: in tables and titles


def main() -> None:
    params = load_params("evaluate")
    description = load_description()
    predictor = Predictor(CHECKPOINT, params.tta, params.precision)
    metadata = predictor.metadata
    require_same_classes(metadata, description.classes)
    trained_on = metadata.preprocessing
    if (trained_on.size, trained_on.fit) != (description.image_size, description.fit):
        raise InputError(
            f"{CHECKPOINT} was trained on {trained_on.size}-pixel images ({trained_on.fit}), prepared/ holds "
            f"{description.image_size}-pixel ones ({description.fit}): run `dvc repro`."
        )
    tracker = start_run("evaluate", predictor.environment)

    mapped = {split: map_split(split, description) for split in ("val", "test")}
    probabilities = {split: predictor(images) for split, (images, _) in mapped.items() if len(images)}
    metrics = {
        split: summarize(found, mapped[split].labels, metadata.classes) for split, found in probabilities.items()
    }
    split = description.reported
    images, labels = mapped[split]
    predictions = make_predictions(probabilities[split], labels, metadata.classes, split)
    write_predictions(predictions)
    write_tables(probabilities[split], labels, metadata.classes)
    draw_grids(images, predictions, split)
    write_json(METRICS, metrics | ({"note": NOTE} if split == "val" else {}))
    tracker.finish()
    for name, m in metrics.items():  # last, below what W&B prints
        worst = f"worst class {m['worst_class']} with recall {m['worst_recall']:.1%}"
        print(f"{name}: accuracy {m['accuracy']:.2%}, {worst}")
    if params.tta != "none":
        print(f"note: by the mean over several views of an image (evaluate.tta: {params.tta}); training looks at one")
    if split == "val":
        print(f"note: {NO_TEST}")


def write_tables(probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> None:
    """The tables that `dvc plots` draws beside the training history."""
    write_table(PER_CLASS, per_class(probabilities, labels, classes))
    write_table(CONFUSION, confusion(probabilities, labels, classes))
    write_table(RELIABILITY, reliability(probabilities, labels).round(5))


def draw_grids(images: Rows, predictions: pd.DataFrame, split: str) -> None:
    """Two pictures: a cross-section of the split, and the wrong answers given most confidently."""
    count, wrong = len(predictions), (~is_right(predictions)).sum()
    evenly = predictions.iloc[np.linspace(0, count - 1, min(CROSS_SECTION, count)).astype(int)]
    worst = worst_mistakes(predictions)
    caution = f"; {NOTE}" if split == "val" else ""
    right = f"{1 - wrong / count:.1%} of the {IMAGE[split]}s are classified correctly"
    mistakes = f"The {len(worst)} most confident of {wrong} wrong answers" if wrong else "No answer is wrong"
    for path, rows, title in (
        (CROSS_SECTION_PICTURE, evenly, f"{right}{caution}"),
        (MISTAKES_PICTURE, worst, f"{mistakes}{caution}"),
    ):
        with atomic_write(path) as file:
            chosen = images[rows["index"]]
            file.write(image_grid(chosen, rows["label"], rows["prediction"], rows["confidence"], title))


if __name__ == "__main__":
    run(main)
