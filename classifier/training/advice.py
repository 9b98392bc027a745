"""Which recipe suits a dataset and a machine, and which of its values to change.

The values themselves stand in recipes/ alone; here are the rules, each with the reason that people are told.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from classifier.config import PrepareParams, TrainParams, load_params
from classifier.data.survey import Survey

RECIPES = Path("recipes")

TINY = 64  # pixels of the longer side
# Tiny images from which on a network of their own does better than one that knows photographs. From 1,000 images of
# CIFAR-10 (JPEG), airbench_small learns to get 61 % right, a frozen network at 128 pixels 62 %; from 5,000, 76 and 66 %
# (one seed each).
MANY = 2_000
GREY = 0.95  # share of images without colour, from which on they are digits, drawings or scans, no photographs
SMALL = 96  # pixels: BiT-HyperRule cuts 128 of 160 pixels out of images that are smaller
SMALL_SIDES = (160, 128)
LONG = 1.5  # the longer side by the shorter one, from which on the centre leaves out a third of the picture
LEAST_SIDE = 16  # of the airbench networks
STEPS = ((20_000, 500), (500_000, 10_000))  # BiT-HyperRule: below so many images so many steps
MOST_STEPS = 20_000
FEWEST_STEPS = 500  # from scratch: of the digits, 48 steps get 97.3 % right, 144 98.5 %, 576 98.7 % (three seeds)
PATIENCE = 10  # times as many steps as BiT's rule has are not too many yet
# Pixels that a core learns from in a second, in all layers of tf_efficientnet_lite0: recipes/photos.yaml on two cores
# (AMD EPYC with AVX-512 BF16) took 42 images a second of 160 pixels, and 18 of 256. Processors without bf16 are several
# times slower.
CPU_RATE = 550_000
CPU_SECONDS = 900  # that people wait for such a training without a GPU
HEAD_ALONE = "recipes/photos-frozen.yaml trains the head alone, in a fraction of the time: worth a try first."
SMALLER = "recipes/cifar10-quick.yaml trains a smaller network in a fraction of the time: worth a look first."
HELD_OUT = 30  # images of the rarest class that val and test should have
FRACTIONS = (0.05, 0.1, 0.15, 0.2)
ENOUGH_TO_TEST = 50  # images of the rarest class: with fewer, and a val split of the dataset's own, none go to test
UNBALANCED, SKEWED = 2, 10  # the largest class by the smallest


class Machine(NamedTuple):
    device: str  # as torch calls it: cpu, cuda, mps
    name: str
    cores: int


class Choice(NamedTuple):
    key: str  # section.key of params.yaml, or deeper
    value: Any
    reason: str


class Advice(NamedTuple):
    recipe: Path
    reason: str
    choices: list[Choice]  # a value of the recipe may be among them, with the reason for keeping it
    to_check: list[str]  # what the images do not say


def advise(survey: Survey, machine: Machine) -> Advice:
    """Choose a recipe, and values to put in the place of its own.

    Raises:
        InputError: if the recipe is missing or not valid.
    """
    name, reason, to_check = choose_recipe(survey, machine)
    recipe = RECIPES / f"{name}.yaml"
    prepare, train = load_params("prepare", recipe), load_params("train", recipe)
    weights, trade = choose_class_weights(survey)
    epochs = choose_epochs(count_left(survey), train)
    choices = [*choose_sides(survey, train, prepare), *choose_fractions(survey), epochs, weights]
    if train.flip != "none":
        to_check.append(
            f"train.flip: {train.flip} mirrors images. Is each still of its class? With digits, text or signs: none."
        )
    return Advice(recipe, reason, choices, [*to_check, *trade])


def choose_recipe(survey: Survey, machine: Machine) -> tuple[str, str, list[str]]:
    """The name of the recipe, the reason for it, and what else might be tried."""
    number, (_, side) = int(survey.counts("train").sum()), survey.median_sides()
    if side <= TINY and survey.grey >= GREY:
        return "digits", f"{number:,} images of {side} pixels without colour: a small network of their own", []
    if side <= TINY and number >= MANY:
        hints = [SMALLER] if machine.device == "cpu" else []
        return "cifar10", f"{number:,} images of {side} pixels are enough for a small network of their own", hints
    what = f"{number:,} photographs" if side > TINY else f"{number:,} images of {side} pixels are few"
    start = f"{what}: start from a network that has learnt from ImageNet"
    if machine.device != "cpu":
        return "photos", f"{start}, and train all of it, for which there is a GPU", [HEAD_ALONE]
    seconds = estimate_seconds(survey, machine)
    if seconds <= CPU_SECONDS:
        return (
            "photos",
            f"{start}, and train all of it: some {_duration(seconds)} on {machine.cores} cores",
            [HEAD_ALONE],
        )
    return (
        "photos-frozen",
        f"{start}, and train its head alone, which takes minutes on {machine.cores} CPU core(s)",
        [f"With patience or a GPU, recipes/photos.yaml trains all layers: here {_duration(seconds)}, very roughly."],
    )


def estimate_seconds(survey: Survey, machine: Machine) -> float:
    """How long recipes/photos.yaml, with the values that suit `survey`, trains on a processor: very roughly."""
    recipe = RECIPES / "photos.yaml"
    prepare, train = load_params("prepare", recipe), load_params("train", recipe)
    sides = {choice.key: choice.value for choice in choose_sides(survey, train, prepare)}
    low_res = train.low_res_share * train.low_res_scale**2 + 1 - train.low_res_share  # of the pixels, on average
    pixels = sides["train.image_size"] ** 2 * low_res
    number = count_left(survey)
    return number * choose_epochs(number, train).value * pixels / CPU_RATE / machine.cores


def choose_sides(survey: Survey, train: TrainParams, prepare: PrepareParams) -> Iterator[Choice]:
    """Sides of the images, and what becomes of those that are no squares."""
    short, long = survey.median_sides()
    usual = f"images of {short} × {long} pixels (the medians)"
    if train.pretrained == "none":
        least = LEAST_SIDE / (train.low_res_scale if train.low_res_share else 1)
        stored = seen = math.ceil(max(long, least) / 4) * 4
        reason = usual + (f", and {train.model} takes no smaller ones here than {stored}" if long < least else "")
    elif long < SMALL:
        (stored, seen), reason = SMALL_SIDES, f"{usual} are enlarged, but to no more, as in BiT's rule"
    else:
        stored, seen = prepare.image_size, train.image_size
        reason = f"{usual}, enlarged where that is more" if stored > short else usual
    yield Choice("prepare.image_size", stored, reason)
    yield Choice("train.image_size", seen, "as stored" if seen == stored else "the middle of what is stored")
    for name, arguments in train.augment.items():
        if arguments.get("size") == train.image_size != seen:
            yield Choice(f"train.augment.{name}.size", seen, "as train.image_size")
    ratio = long / max(1, short)
    if ratio >= LONG:
        yield Choice("prepare.fit", "pad", f"the centre square would leave out {1 - 1 / ratio:.0%} of the usual image")
    elif prepare.fit == "crop" and ratio > 1:
        yield Choice("prepare.fit", "crop", f"the centre square holds {1 / ratio:.0%} of the usual image")


def choose_fractions(survey: Survey) -> Iterator[Choice]:
    """How much of train becomes test and val, where the dataset has no such split of its own."""
    counts = survey.counts("train")
    left, rarest = min((int(n), name) for n, name in zip(counts, survey.classes, strict=True) if n)
    for split in ("test", "val"):
        key = f"prepare.{split}_fraction"
        if split in survey.own_splits:
            continue
        if split == "test" and "val" in survey.own_splits and left < ENOUGH_TO_TEST:
            yield Choice(
                key, 0, f"{rarest} has {left} images to learn from: results on val, which also chooses, must do"
            )
            continue
        fraction = next((f for f in FRACTIONS if f * left >= HELD_OUT), FRACTIONS[-1])
        number = max(1, round(fraction * left))
        yield Choice(
            key, fraction, f"{number} of {left} images of the rarest class, {rarest}: one is {1 / number:.1%} of recall"
        )
        left -= number


def count_left(survey: Survey) -> int:
    """How many images there are to train on, after those that `choose_fractions` holds out."""
    number = int(survey.counts("train").sum())
    return round(number * math.prod(1 - choice.value for choice in choose_fractions(survey)))


def choose_epochs(number: int, train: TrainParams) -> Choice:
    """As many as the recipe has, unless they make far fewer or far more steps than BiT-HyperRule wants.

    The rule is for fine-tuning; it counts steps, so that few images are seen often. A head on frozen features costs
    next to nothing a step, and wants as many. From scratch there is no rule but that some hundred steps are needed.
    """
    steps = max(1, round(number / train.batch_size))
    if train.pretrained == "none":
        fewest, most, rule = FEWEST_STEPS, math.inf, f"from scratch, at least {FEWEST_STEPS} are needed"
    else:
        fewest = next((s for below, s in STEPS if number < below), MOST_STEPS)
        most, rule = PATIENCE * fewest, f"BiT-HyperRule wants {fewest:,} for {number:,} images to train on"
    epochs = train.epochs
    if steps * epochs < fewest:
        epochs = math.ceil(fewest / steps)
    elif steps * epochs > most:
        epochs, rule = max(1, math.floor(most / steps)), f"{rule}, and {PATIENCE} times that are enough"
    return Choice("train.epochs", epochs, f"{steps * epochs:,} steps of about {train.batch_size} images; {rule}")


def choose_class_weights(survey: Survey) -> tuple[Choice, list[str]]:
    """Weights for the classes, and the trade to think about."""
    counts = survey.counts("train")
    small, large = counts[counts > 0].min(), counts.max()
    ratio = f"the largest class has {large / small:.1f} times the images of the smallest"
    if large < UNBALANCED * small:
        return Choice("train.class_weights", {}, ratio), []
    trade = "finds more of the rare classes and pays with the common ones and with accuracy: docs/worst-class.md."
    if large < SKEWED * small:
        return Choice("train.class_weights", {}, ratio), [f"train.class_weights: balanced {trade}"]
    reason = f"{ratio}, so accuracy alone would hardly ask for the rare ones"
    return Choice("train.class_weights", "balanced", reason), [f"train.class_weights: balanced {trade} {{}} does not."]


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.0f} hours" if seconds > 5400 else f"{max(1, seconds / 60):.0f} minutes"
