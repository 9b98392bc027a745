"""What the random transforms draw, a value for each image, and how they read their arguments.

A ValueError says what is wrong with an argument.
"""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def uniform(generator: Generator, n: int, bounds: Sequence[float], like: Tensor, least: float = -math.inf) -> Tensor:
    """Numbers from within `bounds`, which must not lie below `least`: float [n], on the device of `like`."""
    low, high = bounds
    if not least <= low <= high:  # so that NaN fails
        raise ValueError(f"[{low}, {high}] is no range of numbers" + (f" from {least} up" if least == 0 else ""))
    return low + (high - low) * torch.rand(n, generator=generator, device=like.device)


def integers(generator: Generator, n: int, end: int, like: Tensor) -> Tensor:
    """Whole numbers from 0 to `end` - 1: int64 [n, 1], on the device of `like`."""
    return torch.randint(end, (n, 1), generator=generator, device=like.device)


def chosen(images: Tensor, generator: Generator, p: float) -> Tensor:
    """Which images a transform of probability `p` hits: bool [N, 1, 1, 1]."""
    if not 0 <= p <= 1:
        raise ValueError("p must be between 0 and 1")
    return (torch.rand(len(images), generator=generator, device=images.device) < p).view(-1, 1, 1, 1)


def interval(value: float | Sequence[float]) -> Sequence[float]:
    """The bounds that an argument gives, where a single number means from its negative to itself."""
    return value if isinstance(value, Sequence) else (-value, value)


def require_pixels(name: str, value: int) -> None:
    """Refuse, with a ValueError that calls it `name`, what is no number of pixels."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of pixels")
