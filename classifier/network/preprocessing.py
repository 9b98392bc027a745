"""How images become the input of a network: one description, which belongs to the network and travels with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # importing torch takes seconds, and nothing here needs it
    import numpy as np
    from torch import Tensor

LARGEST = 4096  # pixels a side, larger than any network's input

Images = TypeVar("Images", "np.ndarray", "Tensor")


@dataclass(frozen=True)
class Preprocessing:
    """From an image of any size to what a network sees.

    The image is fitted to a square of `size` pixels a side, which is how prepare.py stores it: `fit` and
    `interpolation` are those of classifier/data/images.py. The network sees the centre of that, `crop` pixels a side,
    with pixels in [0, 1] standardised per channel by `mean` and `std`.
    """

    size: int
    fit: str
    crop: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        known = {"fit": ("crop", "pad", "squash"), "interpolation": ("bilinear", "bicubic")}
        for name, values in known.items():
            if (value := getattr(self, name)) not in values:
                raise ValueError(f"{name} is {value!r}, not {' or '.join(values)}")

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Preprocessing:
        """What `dataclasses.asdict` made of one, after a journey through JSON, which knows lists only.

        Raises:
            KeyError, TypeError, ValueError: if `values` are not that, or no images could be treated so.
        """
        for name in ("mean", "std"):
            if not isinstance(values[name], list | tuple):
                raise ValueError(f"{name} is {values[name]!r:.80}, not a list")
        made = cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})
        for name in ("size", "crop"):
            if type(side := getattr(made, name)) is not int or not 1 <= side <= LARGEST:
                raise ValueError(f"{name} is {side!r}, not a number of pixels up to {LARGEST}")
        for name, lowest in (("mean", -1e4), ("std", 1e-4)):  # for pixels in [0, 1]
            numbers = getattr(made, name)
            if len(numbers) != 3 or not all(_is_number(v) and lowest <= v <= 1e4 for v in numbers):
                raise ValueError(f"{name} is {numbers!r:.200}, not a number for each of three channels")
        return made

    def centre(self, images: Images) -> Images:
        """The part of stored images that a network sees: [..., size, size] to [..., crop, crop]."""
        start = round((self.size - self.crop) / 2)  # as torchvision's CenterCrop, and `center_crop` in training
        return images[..., start : start + self.crop, start : start + self.crop]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
