"""How images become the input of a network: one description, which belongs to the network and travels with it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preprocessing:
    """From an image of any size to what a network sees.

    The image is fitted to a square of `size` pixels a side, which is how prepare.py stores it. The network sees the
    centre of that, `crop` pixels a side, with pixels in [0, 1] standardised per channel by `mean` and `std`.
    """

    size: int
    fit: str
    crop: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
