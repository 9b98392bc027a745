"""Where the files of a run lie, from the repository root, where stages, scripts and notebooks work.

Also the columns of predictions.csv, which are names that no class may have.
"""

from pathlib import Path

# What people edit, and what DVC writes beside it.
PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")
DATA = Path("data")

# prepare.py writes
PREPARED = Path("prepared")
DATASET = PREPARED / "dataset.json"
LISTING = PREPARED / "images.csv"

# scripts/get_weights.py writes
WEIGHTS = Path("pretrained/weights.safetensors")

# train.py writes
CHECKPOINT = Path("models/classifier.safetensors")
HISTORY = Path("plots/history.csv")

# evaluate.py writes
METRICS = Path("metrics.json")
PREDICTIONS = Path("predictions.csv")
COLUMNS = ("index", "path", "label", "prediction", "confidence")  # of it, before one for each class
PER_CLASS = Path("plots/per_class.csv")
CONFUSION = Path("plots/confusion.csv")
RELIABILITY = Path("plots/reliability.csv")
CROSS_SECTION_PICTURE = Path("plots/predictions.png")
MISTAKES_PICTURE = Path("plots/mistakes.png")


def split_path(split: str) -> Path:
    """Where the tensors of a split lie."""
    return PREPARED / f"{split}.safetensors"
