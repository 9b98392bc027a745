"""params.yaml as typed, validated values: one frozen dataclass per stage.

Every key is required and no other is allowed, so that params.yaml is the only place where a value
stands. All problems of the file are reported together, before any data is read.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from classifier.errors import InputError, key_shown, nearest
from classifier.paths import PARAMS
from classifier.reading import read_yaml
from classifier.schema import ClassWeights, Must, Transforms, validate

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]

TIMM = "timm/"  # before the names of timm's networks, in train.model
# The networks whose weights a Python package ships; classifier/network/sources/package.py says which, in this order.
PACKAGED = ("timm/tf_efficientnet_lite0", "timm/tf_efficientnet_lite1", "timm/tf_efficientnet_lite2")

POSITIVE = Must("greater than 0", lambda v: v > 0)
SEED = Must("between 0 and 4294967295", lambda v: 0 <= v < 2**32)
AT_LEAST_0 = Must("at least 0", lambda v: v >= 0)
AT_LEAST_1 = Must("at least 1", lambda v: v >= 1)
EPOCHS = Must("between 1 and 100000", lambda v: 1 <= v <= 100_000)
ALPHA = Must("between 0 and 1000", lambda v: 0 <= v <= 1000)
FRACTION = Must("between 0 and 1, both excluded", lambda v: 0 < v < 1)
UP_TO_1 = Must("greater than 0 and at most 1", lambda v: 0 < v <= 1)
VAL_FRACTION = Must("between 0 and 1, both excluded (the best epoch is chosen by these images)", FRACTION.holds)
SHARE = Must("at least 0 and less than 1", lambda v: 0 <= v < 1)
Fit = Literal["crop", "pad", "squash"]
IMAGE_SIZE = Must("between 4 and 1024", lambda v: 4 <= v <= 1024)
PRETRAINED = Must(
    "none, package, the name of weights, or PATH@sha256: and the 64 hexadecimal digits of the file's SHA-256",
    lambda v: bool(re.fullmatch(r"\w+|.+@sha256:[0-9a-f]{64}", v)),
)


@dataclass(frozen=True)
class PrepareParams:
    image_size: Annotated[int, IMAGE_SIZE]
    fit: Fit
    val_fraction: Annotated[float, VAL_FRACTION]
    test_fraction: Annotated[float, SHARE]
    conflicts: Literal["keep", "error"]
    seed: Annotated[int, SEED]
    augment: Transforms


@dataclass(frozen=True)
class TrainParams:
    seed: Annotated[int, SEED]
    model: str
    pretrained: Annotated[str, PRETRAINED]
    image_size: Annotated[int, IMAGE_SIZE]
    freeze: Literal["none", "backbone", "norms"]
    freeze_epochs: Annotated[int, AT_LEAST_0]
    backbone_lr_scale: Annotated[float, POSITIVE]
    layer_decay: Annotated[float, UP_TO_1]
    epochs: Annotated[int, EPOCHS]
    batch_size: Annotated[int, Must("at least 2, which batch norm needs", lambda v: v >= 2)]
    accumulate: Annotated[int, AT_LEAST_1]
    optimizer: Literal["sgd", "adamw", "muon"]
    lr: Annotated[float, POSITIVE]
    aux_lr: Annotated[float, POSITIVE]
    momentum: Annotated[float, SHARE]
    weight_decay: Annotated[float, AT_LEAST_0]
    clip_norm: Annotated[float, AT_LEAST_0]
    schedule: Literal["linear", "cosine", "constant"]
    warmup: Annotated[float, SHARE]
    low_res_share: Annotated[float, SHARE]
    low_res_scale: Annotated[float, FRACTION]
    label_smoothing: Annotated[float, SHARE]
    class_weights: ClassWeights
    class_weighting: Literal["loss", "logits", "sampling"]
    flip: Literal["none", "alternating"]
    augment: Transforms
    mixup: Annotated[float, ALPHA]
    cutmix: Annotated[float, ALPHA]
    ema: Annotated[float, SHARE]
    precision: Precision
    compile: bool
    deterministic: bool
    keep: Literal["best", "last"]
    calibrate: bool


@dataclass(frozen=True)
class EvaluateParams:
    precision: Precision
    tta: Literal["none", "flip", "flip+shift"]


STAGES = {"prepare": PrepareParams, "train": TrainParams, "evaluate": EvaluateParams}


Sections = dict[str, dict[str, Any]]  # by their names, the values that are valid


def load_params(
    stage: str, path: str | Path = PARAMS, further: Callable[[Sections], Iterable[str]] = lambda sections: []
) -> Any:
    """Read `path`, validate every section of it and return that of `stage`.

    All sections are validated whichever stage asks: a misspelt training parameter should stop
    `dvc repro` before prepare.py works for minutes, not after. `further` finds problems that are beyond this module,
    which knows no networks, transforms and classes: these come in the same report.

    Raises:
        InputError: listing every unknown, missing, mistyped or out-of-range value.
    """
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise InputError(f"{path} must hold the sections {', '.join(STAGES)}.")

    problems = [f"{key_shown(name)}: unknown section, {nearest(name, STAGES)}" for name in document.keys() - STAGES]
    sections: Sections = {name: {} for name in STAGES}
    for name, schema in STAGES.items():
        section = document.get(name)
        if isinstance(section, dict):
            sections[name] = validate(section, schema, name, problems)
        else:
            problems.append(f"{name}: this section is missing or empty")
    if not problems:
        params = {name: schema(**sections[name]) for name, schema in STAGES.items()}
        problems = list(contradictions(params["prepare"], params["train"]))
    problems += further(sections)
    if problems:
        raise InputError("\n  ".join([f"{path} has {len(problems)} problem(s):", *sorted(problems)]))
    return params[stage]


def contradictions(prepare: PrepareParams, train: TrainParams) -> Iterator[str]:
    """What is valid by itself and makes no sense together."""
    if train.image_size > prepare.image_size:
        yield (
            f"train.image_size: must be at most prepare.image_size, which is {prepare.image_size}, "
            f"not {train.image_size}: the network sees a part of what is stored"
        )
    if train.model.startswith(TIMM) and "." in train.model:
        name, _, tag = train.model.partition(".")
        yield (
            f"train.model: must be {name}, not {train.model}: what follows the dot is a tag, which names weights and "
            f"belongs into train.pretrained: {tag}"
        )
    elif train.pretrained == "package" and train.model not in PACKAGED:
        yield f"train.pretrained: no package ships weights for {train.model}: package is for {', '.join(PACKAGED)}"
    if train.optimizer == "muon" and train.pretrained != "none":
        yield (
            "train.optimizer: muon brings every filter to a fixed norm, which destroys pretrained weights: "
            "take adamw or sgd, or train.pretrained: none"
        )
    if train.optimizer == "muon" and train.backbone_lr_scale != 1:
        yield "train.backbone_lr_scale: must be 1.0 with muon, whose lr is the backbone's and aux_lr the head's"
    if train.freeze != "none" and train.pretrained == "none":
        yield f"train.freeze: {train.freeze} keeps what was learnt elsewhere, but train.pretrained is none"
    if train.freeze_epochs and train.pretrained == "none":
        yield "train.freeze_epochs: must be 0 where train.pretrained is none: there is nothing to keep meanwhile"
    if train.freeze_epochs and train.freeze == "backbone":
        yield "train.freeze_epochs: must be 0 with train.freeze: backbone, which freezes all epochs"
    if train.layer_decay != 1:
        if train.optimizer == "muon":
            yield "train.layer_decay: must be 1.0 with muon, which moves each filter by as much as every other"
        elif train.pretrained == "none":
            yield "train.layer_decay: must be 1.0 where train.pretrained is none: no layer has learnt anything to keep"
        if train.freeze == "backbone":
            yield "train.layer_decay: must be 1.0 with train.freeze: backbone, where only the head learns"
    if train.batch_size // train.accumulate < 2:
        yield (
            f"train.accumulate: {train.accumulate} parts of a batch of {train.batch_size} are smaller than "
            "the 2 images that batch norm needs"
        )
    if train.freeze_epochs >= train.epochs:
        yield f"train.freeze_epochs: must be less than train.epochs, which is {train.epochs}"
