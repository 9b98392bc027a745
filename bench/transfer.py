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
the peak memory of the largest process, beside which the opponents have processes that load images.
"""

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from classifier.config import TrainParams, load_params
from classifier.network.pretrained import read_weights
from classifier.network.preprocessing import Preprocessing
from classifier.paths import DATA, LISTING, METRICS, PARAMS, WEIGHTS
from classifier.reproducibility import has_bf16

import pandas as pd
import torch
import yaml

ROOT = Path(__file__).resolve().parents[1]
OPPONENTS = Path(__file__).with_name("opponents.py")
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
# timm documents settings for ImageNet alone. AdamW and cosine are what AutoGluon takes for timm's networks.
TIMM = "--opt adamw --lr 1e-3 --weight-decay 0.05 --batch-size 64 --warmup-epochs 1 --sched-on-updates --channels-last"


class Setup(NamedTuple):
    """What the contenders share."""

    arguments: argparse.Namespace
    clone: Path  # of this project, with everything prepared
    images: Path  # SPLIT/CLASS/FILE, for the opponents
    params: TrainParams
    preprocessing: Preprocessing  # that of the weights

    @property
    def network(self) -> str:
        return self.params.model.removeprefix("timm/")


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
    parser.add_argument("--timm-options", default="", help="for timm's script, beside those of TIMM")
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
        sys.exit(f"{arguments.params}: the opponents need a network of timm's, with pretrained weights")
    for row in csv.DictReader((clone / LISTING).open()):
        link = images / row["split"] / row["class"] / (row["index"] + Path(row["path"]).suffix)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(clone / DATA / row["path"])
    return Setup(arguments, clone, images, params, weights.preprocessing)


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
    test = json.loads((setup.clone / METRICS).read_text())["test"]
    return result(test["accuracy"], test["recall"], cost)


def run_timm(setup: Setup, seed: int) -> dict[str, Any]:
    epochs = setup.arguments.epochs or setup.params.epochs
    classes = len(list((setup.images / "train").iterdir()))
    amp = ["--amp", "--amp-dtype", "bfloat16"] if has_bf16(torch.device("cpu")) else []
    colours = ["--mean", *setup.preprocessing.mean, "--std", *setup.preprocessing.std]
    with tempfile.TemporaryDirectory() as folder:
        train = [setup.arguments.timm_train.resolve(), "--data-dir", setup.images, "--val-split", "val", *colours]
        train += ["--model", setup.network, "--num-classes", classes, "--device", "cpu", *amp, *TIMM.split()]
        train += ["--pretrained", "--pretrained-path", setup.clone / WEIGHTS, "--epochs", epochs, "--seed", seed]
        train += ["--output", folder, "--experiment", "it", "--checkpoint-hist", 1]
        train += setup.arguments.timm_options.split()
        best = Path(folder) / "it" / "model_best.pth.tar"
        test = [OPPONENTS, setup.network, best, setup.images / "test"]
        return measure_opponent(Path(folder), train, test)


def run_tutorial(setup: Setup, seed: int) -> dict[str, Any]:
    return run_section(setup, seed, "Finetuning the ConvNet")


def run_tutorial_frozen(setup: Setup, seed: int) -> dict[str, Any]:
    return run_section(setup, seed, "ConvNet as fixed feature extractor")


def run_section(setup: Setup, seed: int, title: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "tutorial.py"
        script.write_text(adapt_tutorial(setup, seed, title))
        return measure_opponent(Path(folder), [script])


def adapt_tutorial(setup: Setup, seed: int, title: str) -> str:
    """The tutorial's text up to the end of one of its sections, without the other, for these images and weights."""
    text = setup.arguments.tutorial.read_text()
    common, found, _ = text.partition("# Visualizing the model predictions\n")
    section = re.search(rf"# {title}\n(.*?)\nvisualize_model\((\w+)\)", text, re.DOTALL)
    if not found or not section:
        sys.exit(f"{setup.arguments.tutorial} is not the tutorial that is known here: it has no section {title!r}")
    text = common + section[1]
    start = f"pretrained({setup.network!r}, {str(setup.clone / WEIGHTS)!r})"
    colours = f"Normalize({list(setup.preprocessing.mean)}, {list(setup.preprocessing.std)})"
    changes = {
        r"'data/hymenoptera_data'": repr(str(setup.images)),
        r"Normalize\(.*\)": colours,
        r"(torchvision\.)?models\.resnet18\(.*\)": start,
        r"\.fc\b": ".classifier",
        r"nn\.Linear\(num_ftrs, 2\)": "nn.Linear(num_ftrs, len(class_names))",
        r"num_epochs=25": f"num_epochs={setup.arguments.epochs or 25}",
    }
    for pattern, replacement in changes.items():
        text, count = re.subn(pattern, lambda _, by=replacement: by, text)
        if not count:
            sys.exit(f"{setup.arguments.tutorial} is not the tutorial that is known here: it has no {pattern!r}")
    before = f"from opponents import answer, pretrained\nimport torch\ntorch.manual_seed({seed})\n"
    after = f"test = datasets.ImageFolder({str(setup.images / 'test')!r}, data_transforms['val'])\n"
    return f"{before}{text}\n{after}answer({section[2]}, test, test.class_to_idx)\n"


def measure_opponent(folder: Path, *commands: list[Any]) -> dict[str, Any]:
    """Run Python with each of `commands`, the last of which writes answers.json; see opponents.py."""
    costs = pd.DataFrame([measure(folder, [sys.executable, *command]) for command in commands])
    answers = pd.DataFrame(json.loads((folder / "answers.json").read_text()), columns=["label", "prediction"])
    right = answers["label"] == answers["prediction"]
    cost = costs.sum() | {"GB": costs["GB"].max()}
    return result(right.mean(), right.groupby(answers["label"]).mean().to_dict(), dict(cost))


def measure(folder: Path, command: list[Any]) -> dict[str, float]:
    """Run a command in a folder; what it costs, its children included."""
    environment = os.environ | {"PYTHONPATH": str(OPPONENTS.parent)}
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
    return {"accuracy": accuracy, "worst class": worst, "its recall": recall[worst]} | cost


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
    main()
