"""What inspect_errors.py finds of errors that were planted: labels flipped in train, and copies put into train.

    python bench/planted.py [DATASET] [--params recipes/photos-frozen.yaml] [--seeds 0 1 2]

DATASET is a folder of image folders, train/<class>/* and test/<class>/*, handwritten digits without one. In a scratch
folder, a share of the training images is moved into another class's folder, and images of test are put into train,
smaller or larger and re-encoded. Then the stages run on that, and scripts/inspect_errors.py. Of what it names, labels
and copies that were wrong before count as false; with --flip 0 --copies 0 it names these alone.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SMALL = 64  # pixels, below which half of the side would leave nothing to recognise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, nargs="?", help="image folders (default: handwritten digits)")
    parser.add_argument("--params", type=Path, default=ROOT / "recipes" / "digits.yaml", help="a recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of what is planted")
    parser.add_argument("--flip", type=float, default=0.05, help="share of the training labels (default: 0.05)")
    parser.add_argument("--copies", type=int, default=20, help="images of test that are put into train (default: 20)")
    parser.add_argument("--keep", type=Path, help="a new folder to work in and to keep, for one seed")
    arguments = parser.parse_args()
    results = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            workspace = arguments.keep or Path(folder, "workspace")
            start(workspace, arguments.dataset, arguments.params)
            rng = np.random.default_rng(seed)
            copies = plant_copies(workspace / "data", arguments.copies, rng)
            flipped = flip_labels(workspace / "data", arguments.flip, rng, set(copies))
            for script in ("prepare.py", "scripts/get_weights.py", "train.py", "scripts/inspect_errors.py"):
                run(workspace, script)
            results.append({"seed": seed} | score(workspace, flipped, copies))
            print(pd.Series(results[-1]).to_string(), flush=True)
    table = pd.DataFrame(results).set_index("seed")
    print(table.T.assign(mean=table.mean().round(3)).to_string())


def start(workspace: Path, dataset: Path | None, recipe: Path) -> None:
    workspace.mkdir(parents=True)
    shutil.copy(recipe, workspace / "params.yaml")
    if dataset:
        shutil.copytree(dataset, workspace / "data")
    else:
        run(workspace, "scripts/get_data.py", "digits")


def run(workspace: Path, script: str, *options: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DVC_ROOT"} | {"WANDB_MODE": "disabled"}
    subprocess.run([sys.executable, ROOT / script, *options], cwd=workspace, env=environment, check=True)


def plant_copies(data: Path, number: int, rng: np.random.Generator) -> dict[str, str]:
    """Put images of test into train, changed; returns by the path of each copy that of its original."""
    originals = sorted(path for path in (data / "test").glob("*/*") if path.is_file())
    planted = {}
    for original in rng.choice(np.array(originals, dtype=object), number, replace=False):
        with Image.open(original) as picture:
            colours = picture.convert("RGB")
        scale = rng.uniform(1, 3) if min(colours.size) < SMALL else rng.uniform(0.5, 1.5)
        changed = colours.resize([round(scale * side) for side in colours.size], Image.Resampling.BICUBIC)
        copy = data / "train" / original.parent.name / f"planted-{original.stem}.jpg"
        changed.save(copy, "JPEG", quality=int(rng.integers(50, 91)))
        planted[relative(copy, data)] = relative(original, data)
    return planted


def flip_labels(data: Path, share: float, rng: np.random.Generator, copies: set[str]) -> dict[str, str]:
    """Move a share of the training images to another class, whichever; returns by its new path what it was."""
    files = sorted(path for path in (data / "train").glob("*/*") if relative(path, data) not in copies)
    classes = sorted(folder.name for folder in (data / "train").iterdir())
    flipped = {}
    for path in rng.choice(np.array(files, dtype=object), round(share * len(files)), replace=False):
        others = [name for name in classes if name != path.parent.name]
        target = data / "train" / str(rng.choice(others)) / f"flipped-{path.name}"
        path.rename(target)
        flipped[relative(target, data)] = path.parent.name
    return flipped


def relative(path: Path, data: Path) -> str:
    return path.relative_to(data).as_posix()


def score(workspace: Path, flipped: dict[str, str], copies: dict[str, str]) -> dict[str, float]:
    """How much of what was planted is found, and how much of what is found was planted."""
    labels = pd.read_csv(workspace / "inspection" / "label_errors.csv")
    groups = pd.read_csv(workspace / "inspection" / "duplicates.csv").groupby("path")["group"].first()
    hits = labels["path"].isin(flipped)
    was = labels["path"].map(flipped)
    found = [copy for copy, original in copies.items() if copy in groups and groups[copy] == groups.get(original)]
    others = set(groups.to_list()) - {groups[copy] for copy in found}
    likely, first = hits[labels["likely"]], hits.head(len(flipped))
    return {
        "labels flipped": len(flipped),
        "likely errors": len(likely),
        "recall": share_of(likely.sum(), len(flipped)),
        "precision": share_of(likely.sum(), len(likely)),
        "of as many as were flipped": share_of(first.sum(), len(first)),
        "with less likely ones": len(labels),
        "recall with these": share_of(hits.sum(), len(flipped)),
        "precision with these": share_of(hits.sum(), len(labels)),
        "right class suggested": share_of((labels["suggested"] == was)[hits].sum(), hits.sum()),
        "copies planted": len(copies),
        "recall of copies": share_of(len(found), len(copies)),
        "other pictures more than once": len(others),
    }


def share_of(part: int, whole: int) -> float:
    return round(float(part / whole), 3) if whole else float("nan")


if __name__ == "__main__":
    main()
