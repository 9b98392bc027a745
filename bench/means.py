"""What raises the recall of one class, and what does each means cost? Several seeds of each, and intervals.

    python bench/means.py DATASET --class shirt [--params recipes/photos-frozen.yaml] [--factor 2] [--seeds 0 1 2 3 4]

DATASET is what prepare.py reads; the recipe is the baseline. The means, each from the same seeds:

loss, logits, sampling  the class weighs --factor times as much, by each of the three ways of train.class_weighting
head                    the baseline's layers stay as they are, and its head learns anew, shortly, by sampling with that
                        weight (classifier re-training: Kang et al., 2020, arXiv 1910.09217)
images                  what the class gains by having all its training images instead of half of them

Prints a Markdown table for the test split and one for the validation split: means, and differences from the baseline
with 95 % t-intervals, paired by seed.
"""

import argparse
import contextlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import prepare
import train
from classifier.data.prepared import SplitWriter, map_split
from classifier.files import atomic_write, sha256
from classifier.network.predictor import Predictor
from classifier.paths import CHECKPOINT, DATA, DATASET, PARAMS, WEIGHTS, split_path
from classifier.results.predictions import count_right, is_right, make_predictions
from classifier.results.significance import difference
from classifier.training import features
from scripts import get_weights

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
ROWS_AT_ONCE = 256
SHORT = 0.25  # of the recipe's epochs, in which a head learns anew
Sample = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--class", dest="name", required=True, help="the class to raise")
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml", help="a recipe (default: params.yaml)")
    parser.add_argument("--factor", type=float, default=2.0, help="its weight (default: 2)")
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5), help="default: 0 to 4")
    arguments = parser.parse_args()
    dataset, name = arguments.dataset.resolve(), arguments.name
    recipe = yaml.safe_load(arguments.params.read_text())
    os.environ["WANDB_MODE"] = "disabled"
    keep_features()
    samples: dict[str, Sample] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        DATA.symlink_to(dataset)
        write_params(recipe)
        prepare.main()
        for seed in arguments.seeds:
            for means, changes in plan(recipe["train"], name, arguments.factor).items():
                if means == "head":
                    changes |= {"pretrained": f"baseline.safetensors@sha256:{sha256('baseline.safetensors')}"}
                measure(samples, means, recipe, {"seed": seed} | changes)
                if means == "baseline":
                    CHECKPOINT.rename("baseline.safetensors")
        halve(name)
        for seed in arguments.seeds:
            measure(samples, "half", recipe, {"seed": seed})
    for split in ("test", "val"):
        print(f"\n{split}\n\n{tabulate({means: metrics(sample, split) for means, sample in samples.items()}, name)}")


def plan(params: dict[str, Any], name: str, factor: float) -> dict[str, dict[str, Any]]:
    """By the name of each means, what it changes in the section `train`."""
    weighted = {"class_weights": {name: factor}}
    means: dict[str, dict[str, Any]] = {"baseline": {}}
    means |= {way: weighted | {"class_weighting": way} for way in ("loss", "logits", "sampling")}
    if params["freeze"] != "backbone":  # or else a head that learns anew is all that there ever was
        means["head"] = means["sampling"] | {
            "freeze": "backbone",
            "freeze_epochs": 0,
            "epochs": max(1, round(SHORT * params["epochs"])),
            "optimizer": "sgd",
            "lr": 0.05,
            "low_res_share": 0.0,
        }
    return means


def write_params(recipe: dict[str, Any], changes: dict[str, Any] | None = None) -> None:
    PARAMS.write_text(yaml.safe_dump(recipe | {"train": recipe["train"] | (changes or {})}))


def measure(samples: dict[str, Sample], means: str, recipe: dict[str, Any], changes: dict[str, Any]) -> None:
    """Train with changed parameters, and append what val and test then say."""
    write_params(recipe, changes)
    with contextlib.redirect_stdout(io.StringIO()):  # what the stages say is not the subject
        get_weights.main()
        train.main()
    predictor = Predictor(CHECKPOINT, recipe["evaluate"]["tta"], recipe["evaluate"]["precision"])
    results = {"seed": changes["seed"]}
    for split in ("val", "test"):
        images, labels = map_split(split)
        predictions = make_predictions(predictor(images), labels, predictor.metadata.classes, split)
        recall = count_right(predictions)["recall"]
        results |= {f"{split}.{name}": value for name, value in recall.items()}
        results |= {f"{split}.worst": recall.min(), f"{split}.accuracy": is_right(predictions).mean()}
    samples.setdefault(means, []).append(results)
    print(means, *(f"{name} {value:.4f}" for name, value in results.items()), flush=True)


def halve(name: str) -> None:
    """Take every second image of a class out of the prepared training split; val and test stay as they are."""
    document = json.loads(DATASET.read_text())
    images, labels = map_split("train")
    of_class = np.flatnonzero(labels == document["classes"].index(name))
    kept = np.delete(np.arange(len(labels)), of_class[1::2])
    path = split_path("train")
    with atomic_write(path) as file:
        writer = SplitWriter(file, labels[kept], document["image_size"])
        for start in range(0, len(kept), ROWS_AT_ONCE):
            writer.append(images[kept[start : start + ROWS_AT_ONCE]])
    split = document["splits"]["train"]
    split |= {"count": len(kept)} | writer.digests()
    split["per_class"][name] -= len(labels) - len(kept)
    DATASET.write_text(json.dumps(document))


def keep_features() -> None:
    """Compute what frozen layers make of a split once, not for each training that has the same."""
    compute, kept = features.compute, {}

    def compute_once(network: Any, source: Any, split: str, dtype: Any, mirrored: bool, processes: Any) -> Any:
        key = (sha256(WEIGHTS), sha256(DATASET), source.labels.numpy().tobytes(), dtype, mirrored)
        if key not in kept:
            kept[key] = compute(network, source, split, dtype, mirrored, processes)
        return kept[key]

    features.compute = compute_once


def metrics(sample: Sample, split: str) -> pd.DataFrame:
    """What the runs of one means say of a split, by seed, in percent."""
    table = 100 * pd.DataFrame(sample).set_index("seed")
    return table.filter(regex=f"^{split}\\.").rename(columns=lambda name: name.removeprefix(f"{split}."))


def tabulate(samples: dict[str, pd.DataFrame], name: str) -> str:
    """A Markdown table: a row for each means, with the class first, then what it costs, the most by which class."""
    baseline = samples["baseline"]
    others = [column for column in baseline if column not in (name, "worst", "accuracy")]
    shown = {name: f"recall of {name}", "accuracy": "accuracy", "worst": "worst recall"}
    lines = [" | ".join(["", "means", *shown.values(), "who pays most", ""]).strip(), "| --- " * (len(shown) + 2) + "|"]
    for means, sample in samples.items():
        label, reference, other = ("images", sample, baseline) if means == "half" else (means, baseline, sample)
        table = difference(reference, other).table
        cells = [f"{mean:.1f}" for mean in other[list(shown)].mean()] + [""] * (means == "baseline")
        if means != "baseline":
            payer = table.loc[others, "difference"].idxmin()
            cells = [f"{cell}, {say(table.loc[column])}" for cell, column in zip(cells, shown, strict=True)]
            cells.append(f"{payer}, {say(table.loc[payer])}")
        lines.append(" | ".join(["", label, *cells, ""]).strip())
    return "\n".join(lines)


def say(row: pd.Series) -> str:
    """A difference and its interval, which there is none of where all seeds say the same."""
    return f"{row['difference']:+.1f}" + ("" if pd.isna(row["low"]) else f" [{row['low']:+.1f}, {row['high']:+.1f}]")


if __name__ == "__main__":
    main()
