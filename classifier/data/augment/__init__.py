"""What `augment` in params.yaml asks for, as one function of a batch on its device, before normalisation.

The transforms are applied in the order of TRANSFORMS, not in that of params.yaml: DVC compares
mappings without regard to order, so order must not change a result.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from classifier.data.augment.operations import center_crop
from classifier.data.augment.transforms import TRANSFORMS
from classifier.errors import InputError, key_shown, nearest, one_line, shown

import torch
from torch import Generator, Tensor

LARGEST = 2048  # number among the arguments: twice the largest image

Augment = Callable[[Tensor, Generator], Tensor]


def build_augment(
    transforms: Mapping[str, Mapping[str, Any]], image_size: int, where: str, out_size: int | None = None
) -> Augment:
    """Make one function of the transforms that params.yaml names.

    Args:
        transforms: torchvision's name of each transform, with its keyword arguments.
        image_size: side length of the images, on which the arguments are tried out.
        where: the key in params.yaml, for messages.
        out_size: side length of the results, by default `image_size`. Where no transform changes the size, the
            centre of the results is taken, as validation takes it.

    Raises:
        InputError: with a line for each unknown transform or argument, value that does not work, other size at the end.
    """
    out_size = image_size if out_size is None else out_size
    if problems := list(find_problems(transforms, image_size, where, out_size)):
        raise InputError("\n".join(problems))
    chosen = [(name, transforms[name]) for name in TRANSFORMS if name in transforms]

    def augment(images: Tensor, generator: Generator) -> Tensor:
        for name, arguments in chosen:
            images = TRANSFORMS[name](images, generator, **arguments)
        return images if images.shape[-1] == out_size else center_crop(images, out_size)

    return augment


def find_problems(
    transforms: Mapping[str, Mapping[str, Any]], image_size: int, where: str, out_size: int
) -> Iterator[str]:
    """All that build_augment() refuses, a line each; values are tried out on images of `image_size` pixels."""
    sound = []
    for name, arguments in transforms.items():
        if name not in TRANSFORMS:
            yield f"{where}.{key_shown(name)}: no such transform, {nearest(name, TRANSFORMS)}"
            continue
        known = list(inspect.signature(TRANSFORMS[name]).parameters)[2:]
        unknown = [argument for argument in arguments if argument not in known]
        yield from (
            f"{where}.{name}.{key_shown(argument)}: no such argument, {nearest(argument, known)}"
            for argument in unknown
        )
        if unfit := _unfit(arguments):
            yield f"{where}.{name}: {unfit}"
        elif not unknown:
            sound.append(name)
    probe, resizing = torch.zeros(2, 3, image_size, image_size), None
    for name in filter(sound.__contains__, TRANSFORMS):
        before = probe.shape
        try:
            probe = TRANSFORMS[name](probe, Generator().manual_seed(0), **transforms[name])
        except Exception as error:  # what comes out of values of any type, deep inside a transform
            yield f"{where}.{name}: {shown(dict(transforms[name]))} does not work: {one_line(error)}"
            continue
        resizing = name if probe.shape != before else resizing
    if resizing and (size := probe.shape[-1]) != out_size:
        remedy = f"stay at {out_size}." if out_size == image_size else f"end at {out_size}: set its size to {out_size}."
        yield f"{where}.{resizing}: makes images of {size} pixels, but they must {remedy}"


def _unfit(arguments: Mapping[str, Any]) -> str | None:
    """Why no transform should try these values, which it might take for sizes without bound; None if it may."""
    for value in arguments.values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, list | dict):
                return f"takes numbers, words and lists of them, not {shown(value)}"
            if isinstance(item, int | float) and not abs(item) <= LARGEST:  # NaN is not, either
                return f"numbers must be between -{LARGEST} and {LARGEST}, not {shown(item)}"
    return None
