"""What `augment` in params.yaml asks for, as one function of a batch on its device, before normalisation.

The transforms are applied in the order of TRANSFORMS, not in that of params.yaml: DVC compares
mappings without regard to order, so order must not change a result.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from classifier.data.transforms import TRANSFORMS
from classifier.errors import InputError, nearest

import torch
from torch import Generator, Tensor

Augment = Callable[[Tensor, Generator], Tensor]


def build_augment(transforms: Mapping[str, Mapping[str, Any]], image_size: int, where: str) -> Augment:
    """Make one function of the transforms that params.yaml names.

    Args:
        transforms: torchvision's name of each transform, with its keyword arguments.
        image_size: side length of the images, on which the arguments are tried out.
        where: the key in params.yaml, for messages.

    Raises:
        InputError: for an unknown transform or argument, or a value that does not work.
    """
    for name, arguments in transforms.items():
        if name not in TRANSFORMS:
            raise InputError(f"{where}.{name}: no such transform, {nearest(name, TRANSFORMS)}")
        known = list(inspect.signature(TRANSFORMS[name]).parameters)[2:]
        for argument in arguments:
            if argument not in known:
                raise InputError(f"{where}.{name}.{argument}: no such argument, {nearest(argument, known)}")
        try:
            probe = torch.zeros(2, 3, image_size, image_size)
            size = TRANSFORMS[name](probe, Generator().manual_seed(0), **arguments).shape[-1]
        except (TypeError, ValueError, IndexError, RuntimeError) as error:
            raise InputError(f"{where}.{name}: {dict(arguments)} does not work: {error}") from None
        if size != image_size:
            raise InputError(f"{where}.{name}: makes images of {size} pixels, but they must stay at {image_size}.")
    chosen = [(TRANSFORMS[name], transforms[name]) for name in TRANSFORMS if name in transforms]

    def augment(images: Tensor, generator: Generator) -> Tensor:
        for transform, arguments in chosen:
            images = transform(images, generator, **arguments)
        return images

    return augment
