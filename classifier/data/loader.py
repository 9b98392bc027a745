"""A prepared split as a source of batches, wherever its images lie."""

import os
from collections.abc import Iterable, Iterator
from typing import Protocol

from classifier.data.prepared import Description, map_split
from classifier.errors import InputError
from classifier.paths import split_path

import numpy as np
import torch
from torch import Tensor


class Source(Protocol):
    """The images of a split and their labels. Labels are small and lie on the device; images need not."""

    labels: Tensor  # int64 [N]

    def batches(self, indices: Iterable[Tensor]) -> Iterator[Tensor]:
        """For each of `indices`, int64 [n], those images on the device: uint8 [n, 3, H, W]."""

    def in_order(self, batch_size: int) -> Iterator[Tensor]:
        """All images in the order of the split, in batches of `batch_size`; the last may be smaller."""


class ResidentSource:
    """A split that lies on the device as a whole.

    Args:
        images: uint8 [N, 3, H, W].
        labels: int64 [N].
    """

    def __init__(self, images: Tensor, labels: Tensor):
        self.images, self.labels = images, labels

    def batches(self, indices: Iterable[Tensor]) -> Iterator[Tensor]:
        return (self.images[chosen] for chosen in indices)

    def in_order(self, batch_size: int) -> Iterator[Tensor]:
        return iter(self.images.split(batch_size))


def open_source(split: str, description: Description, device: torch.device) -> Source:
    """A prepared split, for `device`.

    Raises:
        InputError: if its file is missing or is not the one that dataset.json describes, or memory is too small.
    """
    mapped = map_split(split, description)
    if (needed := mapped.images.nbytes) > (there := memory(device)):
        raise InputError(
            f"{split_path(split)} is {needed / 1e9:.1f} GB once loaded, and {device} has {there / 1e9:.1f} GB: take a "
            "smaller prepare.image_size or fewer images, or another machine (DEVICE=cpu uses the main memory)."
        )
    return ResidentSource(*(torch.from_numpy(np.array(array)).to(device) for array in mapped))


def memory(device: torch.device) -> int:
    """Bytes that a split may fill: what is free on a GPU, else all that the machine has."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def sample(data: Source, count: int) -> Tensor:
    """`count` random images of a split, or all if it has fewer, from torch's global generator: uint8 [n, 3, H, W]."""
    (images,) = data.batches([torch.randperm(len(data.labels))[:count].to(data.labels.device)])
    return images
