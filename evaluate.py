"""Stage 3: measure the model.

Reads  models/classifier.safetensors, prepared/{val,test}.safetensors, prepared/dataset.json,
       prepared/images.csv and the section `evaluate` of params.yaml.
Writes metrics.json, predictions.csv (test split) and plots/*.csv, plots/*.png.

    python evaluate.py
"""

from classifier.reproducibility import keep_large_blocks

keep_large_blocks()  # before torch allocates anything

from classifier.checkpoint import PATH, Metadata, load_checkpoint, require_same_classes
from classifier.config import load_params
from classifier.errors import InputError, run
from classifier.files import atomic_write, write_json
from classifier.inference import Normalize, predict_logits
from classifier.metrics import per_class, reliability, summarize
from classifier.plots import image_grid
from classifier.prepared import FOLDER, load_description, load_split
from classifier.reproducibility import autocast_dtype, make_deterministic, select_device

import numpy as np
import pandas as pd
from torch import nn

GRID = 32  # images in each picture


def main() -> None:
    params = load_params("evaluate")
    description = load_description()
    model, metadata = load_checkpoint(PATH)
    require_same_classes(metadata, description.classes)
    if metadata.image_size != description.image_size:
        raise InputError(
            f"{PATH} was trained on {metadata.image_size}-pixel images, prepared/ holds {description.image_size}-pixel "
            "ones: run `dvc repro`."
        )
    device = select_device()
    make_deterministic()
    model = model.to(device)

    metrics = {}
    for split in ("val", "test"):
        images, labels = (t.to(device) for t in load_split(split, description))
        probabilities = predict_probabilities(model, images, metadata, params.tta)
        metrics[split] = summarize(probabilities, labels.cpu().numpy(), metadata.classes)
        print(
            f"{split}: accuracy {metrics[split]['accuracy']:.2%}, worst class {metrics[split]['worst_class']} "
            f"with recall {metrics[split]['worst_recall']:.1%}"
        )
    # The test split came last: its predictions are the ones that are written down and drawn.
    predictions = list_predictions(probabilities, labels.cpu().numpy(), metadata.classes)
    write_table("predictions.csv", predictions)
    write_tables(probabilities, labels.cpu().numpy(), metadata.classes)
    draw_grids(images.cpu().numpy(), predictions)
    write_json("metrics.json", metrics)


def predict_probabilities(model: nn.Module, images, metadata: Metadata, tta: str) -> np.ndarray:
    """Softmax of the model's logits, float64 [N, num_classes]."""
    normalize = Normalize(metadata.mean, metadata.std, images.device)
    logits = predict_logits(model, images, normalize, autocast_dtype("auto", images.device), tta)
    return logits.double().softmax(1).cpu().numpy()


def list_predictions(probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """A row per test image: index, path, label, prediction, confidence and a column per class."""
    listed = pd.read_csv(FOLDER / "images.csv", dtype=str, keep_default_na=False)
    names = np.array(classes)
    table = pd.DataFrame(
        {
            "index": np.arange(len(labels)),
            "path": listed.loc[listed["split"] == "test", "path"].to_numpy(),
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
