"""What is wrong with the section `train` beyond its types: names that only networks, transforms or the dataset know."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from classifier.data.augment import find_problems
from classifier.data.description import load_description
from classifier.errors import InputError
from classifier.network.models import require_known
from classifier.training.criterion import weigh_classes


def training_problems(sections: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A line for each problem, for load_params(), of what values `sections` have; no image is read."""
    prepare, train = sections["prepare"], sections["train"]
    if "model" in train:
        yield from _refusals(lambda: require_known(train["model"]))
    if {"augment", "image_size"} <= train.keys() and "image_size" in prepare:
        yield from find_problems(train["augment"], prepare["image_size"], "train.augment", train["image_size"])
    with suppress(InputError):  # that prepared/ is missing or stale is said by who needs its images
        per_class = load_description().splits["train"]["per_class"]
        yield from _refusals(lambda: weigh_classes(train.get("class_weights", {}), per_class))


def _refusals(check: Callable[[], Any]) -> list[str]:
    try:
        check()
    except InputError as error:
        return str(error).split("\n")
    return []
