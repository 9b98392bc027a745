"""What the random transforms draw, a value for each image, and how they read their arguments.

A ValueError says what is wrong with an argument.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor


class PartGenerator(Generator):
    """A generator whose draws for a part of a batch are those that the part would get in the whole batch."""

    count, part = 0, slice(None)

    def divide(self, count: int, part: slice) -> None:
        """Draw for `part` of batches of `count` images from now on."""
        self.count, self.part = count, part


def for_each(generator: Generator, n: int, draw: Callable[[int], Tensor]) -> Tensor:
    """What `draw` makes of a number of images, a row each, for the n images at hand."""
    if isinstance(generator, PartGenerator) and generator.count:
        return draw(generator.count)[generator.part]
    return draw(n)


def uniform(generator: Generator, n: int, bounds: Sequence[float], like: Tensor, least: float = -math.inf) -> Tensor:
    """Numbers from within `bounds`, which must not lie below `least`: float [n], on the device of `like`."""
    low, high = bounds
    if not least <= low <= high:  # so that NaN fails
        raise ValueError(f"[{low}, {high}] is no range of numbers" + (f" from {least} up" if least == 0 else ""))
    return low + (high - low) * for_each(generator, n, lambda n: torch.rand(n, generator=generator, device=like.device))


def integers(generator: Generator, n: int, end: int, like: Tensor) -> Tensor:
    """Whole numbers from 0 to `end` - 1: int64 [n, 1], on the device of `like`."""
    return for_each(generator, n, lambda n: torch.randint(end, (n, 1), generator=generator, device=like.device))


def chosen(images: Tensor, generator: Generator, p: float) -> Tensor:
    """Which images a transform of probability `p` hits: bool [N, 1, 1, 1]."""
    if not 0 <= p <= 1:
        raise ValueError("p must be between 0 and 1")
    return (uniform(generator, len(images), (0, 1), images) < p).view(-1, 1, 1, 1)


def interval(value: float | Sequence[float]) -> Sequence[float]:
    """The bounds that an argument gives, where a single number means from its negative to itself."""
    return value if isinstance(value, Sequence) else (-value, value)


def require_pixels(name: str, value: int) -> None:
    """Refuse, with a ValueError that calls it `name`, what is no number of pixels."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of pixels")
