"""How images become the input of a network: one description, which belongs to the network and travels with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # importing torch takes seconds, and nothing here needs it
    import numpy as np
    from torch import Tensor

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
            KeyError, TypeError: if `values` are not that.
        """
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})

    def centre(self, images: Images) -> Images:
        """The part of stored images that a network sees: [..., size, size] to [..., crop, crop]."""
        start = round((self.size - self.crop) / 2)  # as torchvision's CenterCrop, and `center_crop` in training
        return images[..., start : start + self.crop, start : start + self.crop]
