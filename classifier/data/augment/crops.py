"""The random transforms that may end at another size: crops, as transforms.py has the others.

Images keep their size unless `size` says otherwise.
"""

import math
from collections.abc import Sequence

from classifier.data.augment.draws import integers, require_pixels, uniform
from classifier.data.augment.operations import resize_box, warp

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def random_crop(
    images: Tensor,
    generator: Generator,
    *,
    size: int,
    padding: int = 0,
    fill: float = 0,
    padding_mode: str = "constant",
) -> Tensor:
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
    if padding_mode not in modes:
        raise ValueError(f"padding_mode must be one of {', '.join(modes)}")
    if padding:
        images = F.pad(
            images, (padding,) * 4, mode=modes[padding_mode], **({"value": fill} if padding_mode == "constant" else {})
        )
    n, channels, height, width = images.shape
    if not 0 < size <= min(height, width):
        raise ValueError(f"size must be between 1 and the padded image's {min(height, width)} pixels")
    top = integers(generator, n, height - size + 1, images)
    left = integers(generator, n, width - size + 1, images)
    offsets = torch.arange(size, device=images.device)
    return images[
        torch.arange(n, device=images.device).view(n, 1, 1, 1),
        torch.arange(channels, device=images.device).view(1, channels, 1, 1),
        (top + offsets).view(n, 1, size, 1),
        (left + offsets).view(n, 1, 1, size),
    ]


def random_resized_crop(
    images: Tensor,
    generator: Generator,
    *,
    size: int | None = None,
    scale: Sequence[float] = (0.08, 1.0),
    ratio: Sequence[float] = (3 / 4, 4 / 3),
) -> Tensor:
    """The crop is resized to `size`, bilinear and antialiased.

    Without `size` it gets the size that the images have, bilinear: it can only grow, so there is
    nothing to antialias. Its sides are cut to the image's.
    """
    n = len(images)
    area = uniform(generator, n, scale, images, least=0)
    log_ratio = uniform(generator, n, [math.log(r) for r in ratio], images)
    width = (area * log_ratio.exp()).sqrt().clamp(max=1)
    height = (area / log_ratio.exp()).sqrt().clamp(max=1)
    x = (1 - width) * uniform(generator, n, (-1, 1), images)
    y = (1 - height) * uniform(generator, n, (-1, 1), images)
    if size is not None:
        require_pixels("size", size)
        rows, columns = images.shape[-2:]
        left, top = (1 - width + x) / 2 * columns, (1 - height + y) / 2 * rows
        return resize_box(images, left, top, width * columns, height * rows, size)
    zero = torch.zeros_like(x)
    return warp(images, torch.stack([width, zero, x, zero, height, y], 1).view(n, 2, 3), "border")


def random_resize(
    images: Tensor, generator: Generator, *, min_size: int, max_size: int, size: int | None = None
) -> Tensor:
    """torchvision's RandomResize, and a RandomCrop of `size`, without which a batch would not be one tensor.

    Each image is resized (bilinear, antialiased) to a side from `min_size` to `max_size` - 1, of which a
    square of `size`, by default the images' own, is cut out anywhere. Images are square.
    """
    n, pixels = len(images), images.shape[-1]
    size = pixels if size is None else size
    for name, value in (("size", size), ("min_size", min_size), ("max_size", max_size)):
        require_pixels(name, value)
    if not size <= min_size < max_size:
        raise ValueError(f"min_size must be at least {size}, the side of the result, and less than max_size")
    sides = min_size + integers(generator, n, max_size - min_size, images).view(-1)
    room = sides - size + 1
    left, top = ((uniform(generator, n, (0, 1), images) * room).floor() * pixels / sides for _ in range(2))
    extent = size * pixels / sides
    return resize_box(images, left, top, extent, extent, size)
