"""Raise the weight of the worst class in params.yaml, for the next training, and say how sure it is.

The worst class is the one with the lowest recall on the validation split in metrics.json; the test split is for
reporting only. How many images that split has of each class stands in prepared/dataset.json. Comments and order of
params.yaml stay as they are.

    python scripts/reweight.py [--factor 2] [--class NAME]
    python scripts/reweight.py --search [--seeds 3] [--class NAME]

--search changes no parameter. It queues trainings with several weights and seeds as DVC experiments, and draws what
those that have run give: recall of the worst class against accuracy, in class-weights.png.
"""

import argparse
import io
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from textwrap import fill
from typing import Any

from classifier.config import load_params
from classifier.data.description import load_description
from classifier.errors import InputError, nearest, run
from classifier.files import atomic_write
from classifier.paths import DATASET, METRICS, PARAMS
from classifier.results.worst import TRADE, Worst, describe_worst, find_worst

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

WIDTH = 100  # characters of a line
LOWEST, HIGHEST = 0.001, 1000
PLAIN = re.compile(r"[^\W\d][\w -]*\w")  # names that need no quotes, or get them where YAML wants them
CLEAR, CAREFUL = 2.0, 1.2  # the factor where a class is worst beyond doubt, and where it may be chance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = f"what to multiply the weight by (default: {CLEAR:g}, or {CAREFUL:g} where chance may have chosen the class)"
    parser.add_argument("--factor", type=float, help=what)
    parser.add_argument("--class", dest="name", help="the class (default: the worst on the validation split)")
    parser.add_argument("--search", action="store_true", help="try several weights instead, and draw what they give")
    parser.add_argument("--seeds", type=int, default=3, help="of the search, for each weight (default: 3)")
    arguments = parser.parse_args()
    if arguments.factor is not None and not 0 < arguments.factor < float("inf"):
        raise InputError(f"--factor must be greater than 0, not {arguments.factor}.")
    if arguments.seeds < 1:
        raise InputError(f"--seeds must be 1 or more, not {arguments.seeds}.")
    if load_params("train").class_weights == "balanced":
        raise InputError("train.class_weights is `balanced`: replace it by a mapping, or {}, before raising one class.")
    worst = read_worst(arguments.name)
    if not worst:
        print("nothing to reweight: every class is recognised equally well on the validation split.")
        return
    print(fill(describe_worst(worst), WIDTH))
    if arguments.search:
        search(worst.name, arguments.seeds)
        return
    factor = arguments.factor or (CLEAR if worst.clear or arguments.name else CAREFUL)
    old, new = multiply_weight(worst.name, factor)
    print(TRADE)
    print(f"train.class_weights: {worst.name} {old:g} → {new:g}")


def read_worst(name: str | None) -> Worst | None:
    """The worst class, or the one called `name`; None where no class is worse than the others."""
    recall = read_recall()
    images = load_description().splits["val"]["per_class"]
    if set(recall) != set(images):
        raise InputError(f"{METRICS} and {DATASET} are about other classes: run `dvc repro`.")
    if name and name not in recall:
        raise InputError(f"{METRICS} has no class {name!r}, {nearest(name, recall)}")
    return find_worst(recall, images, name)


def read_recall() -> dict[str, float]:
    try:
        recall = json.loads(METRICS.read_text(encoding="utf-8"))["val"]["recall"]
        recall = {name: float(value) for name, value in recall.items()}
    except FileNotFoundError:
        raise InputError(f"{METRICS} not found: run `dvc repro` first.") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        recall = {}
    if not recall or not all(0 <= value <= 1 for value in recall.values()):
        raise InputError(f"{METRICS} does not hold what evaluate.py writes: run `dvc repro`.")
    return recall


def search(name: str, seeds: int) -> None:
    """Queue what has not been tried yet, and show what has run."""
    from classifier.runs import weights  # matplotlib and DVC take a second to import

    if trials := weights.missing_trials(name, seeds):
        print(f"queueing {len(trials)} trainings, with the workspace as it is, committed or not", flush=True)
        weights.queue(trials, partial(set_trial, name))
        print(
            "to run them: `dvc exp run --run-all`, or in the background `dvc queue start`; then the same command again"
        )
    table = weights.frontier(name)
    if len(table) > 1:
        print(weights.describe_frontier(table, name))
        with atomic_write(weights.PICTURE) as file:
            file.write(weights.draw_frontier(table, name))
        print(f"wrote {weights.PICTURE}. Weights whose intervals overlap may differ by chance. {TRADE}")


def set_trial(name: str, trial: tuple[float, int]) -> None:
    """Write the weight of class `name`, and train.seed, into params.yaml; a weight of 1 is none."""
    weight, seed = trial

    def change(document: CommentedMap) -> None:
        weights = document["train"]["class_weights"]
        key = key_of(name, weights)
        weights.pop(key, None)
        if weight != 1:
            weights[key] = weight
        document["train"]["seed"] = seed

    edit_params(change)


def multiply_weight(name: str, factor: float) -> tuple[float, float]:
    """Multiply the weight of class `name` in params.yaml; returns the old and the new weight."""
    old = new = 1.0

    def change(document: CommentedMap) -> None:
        nonlocal old, new
        weights = document["train"]["class_weights"]
        key = key_of(name, weights)
        old = float(weights.get(key, 1.0))
        new = round(old * factor, 6)
        if not LOWEST <= new <= HIGHEST:
            raise InputError(f"--factor {factor:g} makes the weight of {name} {new:g}: keep it in {LOWEST}–{HIGHEST}.")
        weights[key] = new

    edit_params(change)
    return old, new


def key_of(name: str, weights: Mapping[Any, Any]) -> Any:
    """The key of a class in train.class_weights, in quotes if it is new and YAML might read it as something else."""
    known = (key for key in weights if str(key) == name)  # YAML reads the class `7` as a number
    return next(known, name if PLAIN.fullmatch(name) else DoubleQuotedScalarString(name))


def edit_params(change: Callable[[CommentedMap], None]) -> None:
    """Change params.yaml and keep its comments, order and quotes."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    document = yaml.load(PARAMS.read_text(encoding="utf-8"))
    change(document)
    buffer = io.BytesIO()
    yaml.dump(document, buffer)
    with atomic_write(PARAMS) as file:
        file.write(buffer.getvalue())


if __name__ == "__main__":
    run(main)
