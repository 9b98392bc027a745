"""Transfer learning without a GPU: this project, timm's training script and PyTorch's tutorial, taking turns.

    python bench/transfer.py DATASET --only ours tutorial-frozen --tutorial transfer_learning_tutorial.py
    python bench/transfer.py DATASET --only ours timm tutorial --params recipes/photos.yaml \\
        --tutorial transfer_learning_tutorial.py --timm-train train.py

DATASET holds folders of images. All get the same images, split as prepare.py splits them, the same network with the
same pretrained weights, which the recipe names, and the same number of threads. Each repetition has a seed and an
order of its own. The contenders:

ours             `dvc repro --force` of all stages in a scratch clone of the last commit, with the recipe
scratch          the same without pretrained weights: the committed params.yaml with the values of SCRATCH, below
timm             train.py of github.com/huggingface/pytorch-image-models, for as many epochs as the recipe has
tutorial         beginner_source/transfer_learning_tutorial.py of github.com/pytorch/tutorials: "Finetuning the ConvNet"
tutorial-frozen  the same, "ConvNet as fixed feature extractor"

The two files are no part of this project: fetch them, timm's of about the version that is installed. Prints a
Markdown table of medians: answers to the test images, wall and processor time from a cold start to these answers, and
the peak memory of the largest process, beside which the opponents have processes that load images. Each run is printed
when it ends, with the recall of every class.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from classifier.config import TrainParams, load_params
from classifier.errors import InputError, run
from classifier.network.pretrained import read_weights
from classifier.paths import DATA, LISTING, METRICS, PARAMS, WEIGHTS

import pandas as pd
import yaml
from opponents import FINETUNING, FROZEN, TUTORIAL_EPOCHS, Start, adapt_tutorial, timm_commands

ROOT = Path(__file__).resolve().parents[1]
Section = dict[str, Any]
SCRATCH: dict[str, Section] = {
    "prepare": {"image_size": 72},
    "train": {
        "image_size": 64,
        "epochs": 40,
        "batch_size": 64,
        "augment": {"RandomResizedCrop": {"size": 64, "scale": [0.35, 1.0]}},
    },
}


class Setup(NamedTuple):
    """What the contenders share."""

    arguments: argparse.Namespace
    clone: Path  # of this project
    params: TrainParams  # of the recipe
    start: Start


def main() -> None:
    arguments = parse_arguments()
    os.environ |= {"OMP_NUM_THREADS": str(arguments.threads), "DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    os.environ |= {"WANDB_MODE": "disabled", "MPLBACKEND": "Agg"}  # the tutorial would open windows
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        setup = set_up(arguments, Path(folder))
        for seed in range(arguments.repetitions):
            turn = seed % len(arguments.only)
            for name in arguments.only[turn:] + arguments.only[:turn]:
                rows.append({"contender": name} | CONTENDERS[name](setup, seed))
                print(rows[-1], file=sys.stderr, flush=True)
    print_table(pd.DataFrame(rows), arguments.only)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--only", nargs="+", required=True, choices=CONTENDERS, metavar="NAME", help="contenders")
    parser.add_argument("--params", type=Path, default=ROOT / "recipes/photos-frozen.yaml", help="the recipe")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--tutorial", type=Path, metavar="FILE")
    parser.add_argument("--timm-train", type=Path, metavar="FILE")
    parser.add_argument("--timm-options", default="", help="for timm's script, beside those of opponents.py")
    parser.add_argument("--epochs", type=int, help="for each contender, instead of its own number")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    for option in ("tutorial", "timm_train"):
        file, opponent = getattr(arguments, option), option.partition("_")[0]
        if not (file and file.is_file()) and any(name.startswith(opponent) for name in arguments.only):
            parser.error(f"{opponent} needs --{option.replace('_', '-')} FILE, which is no part of this project")
    return arguments


def set_up(arguments: argparse.Namespace, folder: Path) -> Setup:
    """A clone with the data prepared and the weights fetched, and links to the same images for the opponents."""
    clone, images = folder / "clone", folder / "images"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    shutil.copytree(arguments.dataset, clone / DATA)
    write_params(clone, arguments.params, {}, arguments.epochs, seed=0)
    subprocess.run(["dvc", "add", "--quiet", DATA], cwd=clone, check=True)
    subprocess.run(["dvc", "repro", "--quiet", "prepare", "weights"], cwd=clone, check=True)
    params = load_params("train", clone / PARAMS)
    weights = read_weights(params.model, params.pretrained, clone / WEIGHTS)
    if not (params.model.startswith("timm/") and weights and weights.preprocessing):
        raise InputError(f"{arguments.params}: the opponents need a network of timm's with pretrained weights.")
    for row in csv.DictReader((clone / LISTING).open()):
        link = images / row["split"] / row["class"] / (row["index"] + Path(row["path"]).suffix)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(clone / DATA / row["path"])
    kept = shutil.copy(clone / WEIGHTS, folder)  # `scratch` has none, in the same clone
    start = Start(images, params.model.removeprefix("timm/"), Path(kept), weights.preprocessing)
    return Setup(arguments, clone, params, start)


def write_params(clone: Path, recipe: Path, changes: dict[str, Section], epochs: int | None, seed: int) -> None:
    params = yaml.safe_load(recipe.read_text())
    for section, values in changes.items():
        params[section] |= values
    params["train"] |= {"seed": seed} | ({"epochs": epochs} if epochs else {})
    (clone / PARAMS).write_text(yaml.safe_dump(params, sort_keys=False))


def run_ours(setup: Setup, seed: int) -> dict[str, Any]:
    return run_pipeline(setup, seed, setup.arguments.params, {})


def run_scratch(setup: Setup, seed: int) -> dict[str, Any]:
    return run_pipeline(setup, seed, ROOT / PARAMS, SCRATCH)


def run_pipeline(setup: Setup, seed: int, recipe: Path, changes: dict[str, Section]) -> dict[str, Any]:
    write_params(setup.clone, recipe, changes, setup.arguments.epochs, seed)
    cost = measure(setup.clone, ["dvc", "repro", "--force"])
    metrics = json.loads((setup.clone / METRICS).read_text())
    row = result(metrics["test"]["accuracy"], metrics["test"]["recall"], cost)
    return row | {"val accuracy": metrics["val"]["accuracy"]}


def run_timm(setup: Setup, seed: int) -> dict[str, Any]:
    arguments = setup.arguments
    epochs = arguments.epochs or setup.params.epochs
    with tempfile.TemporaryDirectory() as folder:
        script, options = arguments.timm_train.resolve(), arguments.timm_options
        return run_opponent(Path(folder), timm_commands(script, setup.start, epochs, seed, Path(folder), options))


def run_tutorial(setup: Setup, seed: int, section: str = FINETUNING) -> dict[str, Any]:
    arguments = setup.arguments
    epochs = arguments.epochs or TUTORIAL_EPOCHS
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "tutorial.py"
        script.write_text(adapt_tutorial(arguments.tutorial, setup.start, section, epochs, seed))
        return run_opponent(Path(folder), [[script]])


def run_tutorial_frozen(setup: Setup, seed: int) -> dict[str, Any]:
    return run_tutorial(setup, seed, FROZEN)


def run_opponent(folder: Path, commands: list[list[Any]]) -> dict[str, Any]:
    """Run Python with each of `commands` in `folder`, where the last of them writes answers.json (inside.py)."""
    costs = pd.DataFrame([measure(folder, [sys.executable, *command]) for command in commands])
    answers = pd.DataFrame(json.loads((folder / "answers.json").read_text()), columns=["label", "prediction"])
    right = answers["label"] == answers["prediction"]
    cost = costs.sum().to_dict() | {"GB": float(costs["GB"].max())}
    return result(float(right.mean()), right.groupby(answers["label"]).mean().to_dict(), cost)


def measure(folder: Path, command: list[Any]) -> dict[str, float]:
    """Run a command in a folder; what it costs, its children included."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}  # of inside.py
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        start = time.monotonic()
        process = subprocess.Popen(list(map(str, command)), cwd=folder, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        if status:
            log.seek(0)
            sys.exit(f"{log.read()[-5000:]}\nfailed: {' '.join(map(str, command))}")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return {"wall s": seconds, "processor s": usage.ru_utime + usage.ru_stime, "GB": usage.ru_maxrss * unit / 1e9}


def result(accuracy: float, recall: dict[str, float], cost: dict[str, float]) -> dict[str, Any]:
    worst = min(recall, key=recall.__getitem__)
    return {"accuracy": accuracy, "recall": recall, "worst class": worst, "its recall": recall[worst]} | cost


def print_table(runs: pd.DataFrame, names: list[str]) -> None:
    """A Markdown table of the medians over a contender's runs, and of the most frequent worst class."""
    print("| contender | test accuracy | worst class, its recall | wall s | processor s | peak GB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in names:
        of_it = runs[runs["contender"] == name]
        medians, worst = of_it.median(numeric_only=True), of_it["worst class"].mode()[0]
        accuracy, recall = f"{medians['accuracy']:.1%}", f"{medians['its recall']:.1%}"
        cost = f"{medians['wall s']:.0f} | {medians['processor s']:.0f} | {medians['GB']:.1f}"
        print(f"| {name} | {accuracy} | {worst}, {recall} | {cost} |")


CONTENDERS: dict[str, Callable[[Setup, int], dict[str, Any]]] = {
    "ours": run_ours,
    "scratch": run_scratch,
    "timm": run_timm,
    "tutorial": run_tutorial,
    "tutorial-frozen": run_tutorial_frozen,
}


if __name__ == "__main__":
    run(main)
