"""Raise the weight of the worst class in params.yaml, for the next training.

The worst class is the one with the lowest recall on the validation split in metrics.json; the test
split is for reporting only. Comments and order of params.yaml stay as they are.

    python scripts/reweight.py [--factor 2] [--class NAME]
"""

import argparse
import io
import json

from classifier.config import load_params
from classifier.errors import InputError, nearest, run
from classifier.files import atomic_write
from classifier.paths import METRICS, PARAMS

from ruamel.yaml import YAML

LOWEST, HIGHEST = 0.001, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factor", type=float, default=2.0, help="what to multiply the weight by (default: 2)")
    parser.add_argument("--class", dest="name", help="the class (default: the worst on the validation split)")
    arguments = parser.parse_args()
    if not 0 < arguments.factor < float("inf"):
        raise InputError(f"--factor must be greater than 0, not {arguments.factor}.")
    if load_params("train").class_weights == "balanced":
        raise InputError("train.class_weights is `balanced`: replace it by a mapping, or {}, before raising one class.")
    recall = read_recall()
    name = arguments.name or min(recall, key=recall.__getitem__)
    if name not in recall:
        raise InputError(f"{METRICS} has no class {name!r}, {nearest(name, recall)}")
    if not arguments.name and recall[name] == max(recall.values()):
        print(f"note: no class is recognised worse than the others; {name} is the first of them.")
    old, new = multiply_weight(name, arguments.factor)
    print(f"train.class_weights: {name} {old:g} → {new:g} (validation recall {recall[name]:.1%})")


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


def multiply_weight(name: str, factor: float) -> tuple[float, float]:
    """Multiply the weight of class `name` in params.yaml; returns the old and the new weight."""
    yaml = YAML()  # keeps comments, order and quotes
    yaml.preserve_quotes = True
    yaml.width = 4096
    document = yaml.load(PARAMS.read_text(encoding="utf-8"))
    weights = document["train"]["class_weights"]
    key = next((key for key in weights if str(key) == name), name)  # YAML reads the class `7` as a number
    old = float(weights.get(key, 1.0))
    new = round(old * factor, 6)
    if not LOWEST <= new <= HIGHEST:
        raise InputError(f"--factor {factor:g} makes the weight of {name} {new:g}: keep it in {LOWEST}–{HIGHEST}.")
    weights[key] = new
    buffer = io.BytesIO()
    yaml.dump(document, buffer)
    with atomic_write(PARAMS) as file:
        file.write(buffer.getvalue())
    return old, new


if __name__ == "__main__":
    run(main)
