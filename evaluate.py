"""Stage 3: measure the model.

Reads  models/classifier.safetensors, prepared/{val,test}.safetensors, prepared/dataset.json,
       prepared/images.csv and the section `evaluate` of params.yaml.
Writes metrics.json, predictions.csv (test split) and plots/*.csv, plots/*.png.

    python evaluate.py
"""

from classifier.reproducibility import keep_large_blocks

keep_large_blocks()  # before torch allocates anything

from classifier.config import load_params
from classifier.data.prepared import LISTING, list_prepared, load_description, map_split
from classifier.errors import InputError, run
from classifier.files import atomic_write, write_json
from classifier.network.checkpoint import PATH, require_same_classes
from classifier.network.predictor import Predictor
from classifier.results.metrics import per_class, reliability, summarize
from classifier.results.plots import image_grid
from classifier.tracking.tracker import start_run

import numpy as np
import pandas as pd

GRID = 32  # images in each picture


def main() -> None:
    params = load_params("evaluate")
    description = load_description()
    predictor = Predictor(PATH, params.tta, params.precision)
    metadata = predictor.metadata
    require_same_classes(metadata, description.classes)
    if metadata.preprocessing.size != description.image_size:
        raise InputError(
            f"{PATH} was trained on {metadata.preprocessing.size}-pixel images, prepared/ holds "
            f"{description.image_size}-pixel ones: run `dvc repro`."
        )
    tracker = start_run("evaluate", predictor.environment)

    val, test = (map_split(split, description) for split in ("val", "test"))
    val_probabilities, test_probabilities = predictor(val.images), predictor(test.images)
    metrics = {
        "val": summarize(val_probabilities, val.labels, metadata.classes),
        "test": summarize(test_probabilities, test.labels, metadata.classes),
    }
    for split, m in metrics.items():
        worst = f"worst class {m['worst_class']} with recall {m['worst_recall']:.1%}"
        print(f"{split}: accuracy {m['accuracy']:.2%}, {worst}")

    predictions = list_predictions(test_probabilities, test.labels, metadata.classes)
    write_table("predictions.csv", predictions)
    write_tables(test_probabilities, test.labels, metadata.classes)
    draw_grids(test.images, predictions)
    write_json("metrics.json", metrics)
    tracker.finish()


def list_predictions(probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """A row per test image: index, path, label, prediction, confidence and a column per class."""
    paths = list_prepared("test")["path"].to_numpy()
    if len(paths) != len(labels):
        raise InputError(f"{LISTING} lists {len(paths)} test images, not {len(labels)}: run `dvc repro`.")
    names = np.array(classes)
    table = pd.DataFrame(
        {
            "index": np.arange(len(labels)),
            "path": paths,
            "label": names[labels],
            "prediction": names[probabilities.argmax(1)],
            "confidence": probabilities.max(1),
        }
    )
    return pd.concat([table, pd.DataFrame(probabilities, columns=classes)], axis=1).round(6)


def write_tables(probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> None:
    """The tables that `dvc plots` draws beside predictions.csv and the training history."""
    write_table("plots/per_class.csv", per_class(probabilities, labels, classes))
    bins = reliability(probabilities, labels)
    write_table("plots/reliability.csv", bins.assign(ideal=bins["confidence"]).round(5))


def draw_grids(images: np.ndarray, predictions: pd.DataFrame) -> None:
    """Two pictures: a cross-section of the test split, and the wrong answers given most confidently."""
    wrong = predictions[predictions["label"] != predictions["prediction"]]
    accuracy = 1 - len(wrong) / len(predictions)
    evenly = predictions.iloc[np.linspace(0, len(predictions) - 1, min(GRID, len(predictions))).astype(int)]
    worst = wrong.sort_values(["confidence", "index"], ascending=[False, True]).head(GRID)
    for path, rows, title in (
        ("plots/predictions.png", evenly, f"{accuracy:.1%} of the test images are classified correctly"),
        ("plots/mistakes.png", worst, f"The {len(worst)} most confident of {len(wrong)} wrong answers"),
    ):
        with atomic_write(path) as file:
            chosen = images[rows["index"]]
            file.write(image_grid(chosen, rows["label"], rows["prediction"], rows["confidence"], title))


def write_table(path: str, table: pd.DataFrame) -> None:
    with atomic_write(path) as file:
        table.to_csv(file, index=False, lineterminator="\n")


if __name__ == "__main__":
    run(main)
