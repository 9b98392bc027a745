"""TrivialAugmentWide, RandAugment and AutoAugment as torchvision defines them, with draws for each image of a batch.

torchvision's work on 8-bit images; these take and give float [N, 3, H, W] in [0, 1], square, and differ
from them by rounding. The images that drew the same operation go through it together.
"""

from collections.abc import Callable
from typing import NamedTuple

from classifier.data.augment import operations
from classifier.data.augment.draws import integers, uniform
from classifier.data.augment.policies import BINS, POLICIES

import torch
from torch import Generator, Tensor


class Range(NamedTuple):
    """The magnitudes of an operation, from that of the lowest bin to that of the highest."""

    first: float = 0
    last: float = 0
    signed: bool = False  # whether half of the draws take the opposite


def _space(shear: float, translate: float, degrees: float, factor: float, bits: int) -> dict[str, Range]:
    """The operations and how far they go. `translate` is in pixels, `factor` the distance from 1."""
    signed = dict.fromkeys(["ShearX", "ShearY"], shear) | dict.fromkeys(["TranslateX", "TranslateY"], translate)
    signed |= {"Rotate": degrees} | dict.fromkeys(["Brightness", "Color", "Contrast", "Sharpness"], factor)
    return {
        "Identity": Range(),
        **{name: Range(0, last, True) for name, last in signed.items()},
        "Posterize": Range(8, 8 - bits),
        "Solarize": Range(1, 0),
        "AutoContrast": Range(),
        "Equalize": Range(),
    }


def wide_space() -> dict[str, Range]:
    """The operations of TrivialAugmentWide."""
    return _space(shear=0.99, translate=32, degrees=135, factor=0.99, bits=6)


def rand_space(size: int) -> dict[str, Range]:
    """The operations of RandAugment on images of `size` pixels."""
    return _space(shear=0.3, translate=150 / 331 * size, degrees=30, factor=0.9, bits=4)


def auto_space(size: int) -> dict[str, Range]:
    """The operations of AutoAugment on images of `size` pixels."""
    return rand_space(size) | {"Invert": Range()}


def trivial_augment_wide(
    images: Tensor,
    generator: Generator,
    *,
    num_magnitude_bins: int = 31,
    interpolation: str = "nearest",
    fill: float = 0,
) -> Tensor:
    """One operation of any magnitude."""
    _check(interpolation, fill, num_magnitude_bins)
    space, n = wide_space(), len(images)
    drawn = _draw_operations(generator, space, images)
    bins = integers(generator, n, num_magnitude_bins, images).view(-1)
    return apply(images, drawn, _magnitudes(generator, space, drawn, bins, num_magnitude_bins), interpolation, fill)


def rand_augment(
    images: Tensor,
    generator: Generator,
    *,
    num_ops: int = 2,
    magnitude: int = 9,
    num_magnitude_bins: int = 31,
    interpolation: str = "nearest",
    fill: float = 0,
) -> Tensor:
    """`num_ops` operations of one magnitude."""
    _check(interpolation, fill, num_magnitude_bins)
    if not isinstance(num_ops, int) or num_ops < 0:
        raise ValueError("num_ops must be a whole number from 0 up")
    if not isinstance(magnitude, int) or not 0 <= magnitude < num_magnitude_bins:
        raise ValueError(f"magnitude must be a whole number from 0 to {num_magnitude_bins - 1}")
    space, n = rand_space(images.shape[-1]), len(images)
    bins = torch.full((n,), magnitude, device=images.device)
    for _ in range(num_ops):
        drawn = _draw_operations(generator, space, images)
        magnitudes = _magnitudes(generator, space, drawn, bins, num_magnitude_bins)
        images = apply(images, drawn, magnitudes, interpolation, fill)
    return images


def auto_augment(
    images: Tensor,
    generator: Generator,
    *,
    policy: str = "imagenet",
    interpolation: str = "nearest",
    fill: float = 0,
) -> Tensor:
    """One of the 25 pairs of operations that were found best for `policy`: imagenet, cifar10 or svhn."""
    _check(interpolation, fill, BINS)
    if policy not in POLICIES:
        raise ValueError(f"policy must be one of {', '.join(POLICIES)}")
    pairs, space, n = POLICIES[policy], auto_space(images.shape[-1]), len(images)
    chosen = [pairs[i] for i in integers(generator, n, len(pairs), images).view(-1).tolist()]
    for steps in zip(*chosen, strict=True):  # the first of each image's pair, then the second
        chance = uniform(generator, n, (0, 1), images).tolist()
        drawn = [step.operation if p <= step.probability else "Identity" for step, p in zip(steps, chance, strict=True)]
        bins = torch.tensor([step.bin for step in steps], device=images.device)
        images = apply(images, drawn, _magnitudes(generator, space, drawn, bins, BINS), interpolation, fill)
    return images


def apply(images: Tensor, names: list[str], magnitudes: Tensor, interpolation: str, fill: float) -> Tensor:
    """Apply to each image the operation of its name.

    Args:
        images: float [N, 3, H, W] in [0, 1], square.
        names: N operations.
        magnitudes: float [N], as torchvision's functions of the same name take them. What stands for a
            factor counts from 1; operations without a magnitude ignore it.
        interpolation: `nearest` or `bilinear`, for what shears, moves and turns.
        fill: what comes in from outside of the image.
    """
    result = images.clone()
    for name in dict.fromkeys(names):
        if name == "Identity":
            continue
        index = torch.tensor([i for i, other in enumerate(names) if other == name], device=images.device)
        chosen, magnitude = images[index], magnitudes[index]
        if name in MATRICES:
            matrix = MATRICES[name](magnitude, images.shape[-1])
            result[index] = operations.warp(chosen, matrix, "zeros", interpolation, fill)
        else:
            result[index] = COLOURS[name](chosen, magnitude)
    return result


def _draw_operations(generator: Generator, space: dict[str, Range], images: Tensor) -> list[str]:
    names = list(space)
    drawn = integers(generator, len(images), len(names), images).view(-1)
    return [names[i] for i in drawn.tolist()]


def _magnitudes(generator: Generator, space: dict[str, Range], names: list[str], bins: Tensor, num_bins: int) -> Tensor:
    """The magnitude of each image's operation, with a sign drawn where it has one: float [N]."""
    first, last, signed = torch.tensor([space[name] for name in names], device=bins.device).unbind(1)
    negative = uniform(generator, len(bins), (0, 1), bins) <= 0.5
    magnitude = first + (last - first) * bins / (num_bins - 1)
    return torch.where(negative & (signed > 0), -magnitude, magnitude)


def _check(interpolation: str, fill: float, num_magnitude_bins: int) -> None:
    if interpolation not in ("nearest", "bilinear"):
        raise ValueError("interpolation must be nearest or bilinear")
    if not 0 <= fill <= 1:
        raise ValueError("fill must be between 0 and 1")
    if not isinstance(num_magnitude_bins, int) or num_magnitude_bins < 2:
        raise ValueError("num_magnitude_bins must be a whole number from 2 up")


def _affine(n: Tensor, *rows: tuple[float | Tensor, float | Tensor, float | Tensor]) -> Tensor:
    """Affine maps [N, 2, 3] from two rows of numbers or tensors [N]."""
    return torch.stack([torch.zeros_like(n) + value for row in rows for value in row], 1).view(-1, 2, 3)


# From output to input, in [-1, 1] about the centre. Shears keep the image's first row or column in place.
MATRICES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "ShearX": lambda m, size: _affine(m, (1, m, m), (0, 1, 0)),
    "ShearY": lambda m, size: _affine(m, (1, 0, 0), (m, 1, m)),
    "TranslateX": lambda m, size: _affine(m, (1, 0, -2 * m.trunc() / size), (0, 1, 0)),
    "TranslateY": lambda m, size: _affine(m, (1, 0, 0), (0, 1, -2 * m.trunc() / size)),
    "Rotate": lambda m, size: _affine(
        m, (m.deg2rad().cos(), -m.deg2rad().sin(), 0), (m.deg2rad().sin(), m.deg2rad().cos(), 0)
    ),
}

COLOURS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Brightness": lambda images, m: operations.adjust_brightness(images, 1 + m),
    "Color": lambda images, m: operations.adjust_saturation(images, 1 + m),
    "Contrast": lambda images, m: operations.adjust_contrast(images, 1 + m),
    "Sharpness": lambda images, m: operations.adjust_sharpness(images, 1 + m),
    "Posterize": lambda images, m: operations.posterize(images, m.round()),
    "Solarize": operations.solarize,
    "AutoContrast": lambda images, _: operations.autocontrast(images),
    "Equalize": lambda images, _: operations.equalize(images),
    "Invert": lambda images, _: operations.invert(images),
}
