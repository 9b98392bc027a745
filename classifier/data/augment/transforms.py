"""Random transforms of whole batches, named and parametrised as in torchvision.

torchvision's transforms draw once per call, so a batch would share one draw; these draw for each
image. All randomness comes from the generator passed in. Images are float [N, 3, H, W] in [0, 1].

What they do to pixels stands in operations.py, what they draw in draws.py; TRANSFORMS below has them all.
"""

import math
from collections.abc import Callable, Sequence

from classifier.data.augment.autoaugment import auto_augment, rand_augment, trivial_augment_wide
from classifier.data.augment.crops import random_crop, random_resize, random_resized_crop
from classifier.data.augment.draws import chosen, interval, require_pixels, uniform
from classifier.data.augment.operations import adjust_hue, blend, gray, warp
from classifier.data.augment.operations import gaussian_blur as blur

import torch
from torch import Generator, Tensor


def random_horizontal_flip(images: Tensor, generator: Generator, *, p: float = 0.5) -> Tensor:
    return torch.where(chosen(images, generator, p), images.flip(-1), images)


def random_vertical_flip(images: Tensor, generator: Generator, *, p: float = 0.5) -> Tensor:
    return torch.where(chosen(images, generator, p), images.flip(-2), images)


def random_rotation(images: Tensor, generator: Generator, *, degrees: float | Sequence[float]) -> Tensor:
    low, high = interval(degrees)  # counter-clockwise, unlike RandomAffine: as in torchvision
    return random_affine(images, generator, degrees=(-high, -low))


def random_affine(
    images: Tensor,
    generator: Generator,
    *,
    degrees: float | Sequence[float],
    translate: Sequence[float] | None = None,
    scale: Sequence[float] | None = None,
    shear: float | Sequence[float] | None = None,
) -> Tensor:
    """Bilinear; what comes from outside the image is black. `shear` acts along the x axis."""
    if scale and min(scale) <= 0:
        raise ValueError("scale must be greater than 0")
    if translate and max(translate) > 1:
        raise ValueError("translate must be between 0 and 1")
    n = len(images)
    angle = torch.deg2rad(uniform(generator, n, interval(degrees), images))
    factor = uniform(generator, n, scale or (1, 1), images)
    slant = torch.deg2rad(uniform(generator, n, interval(shear or 0), images)).tan()
    x, y = (2 * uniform(generator, n, (-t, t), images) for t in translate or (0, 0))
    cos, sin = angle.cos() / factor, angle.sin() / factor
    a, b, c, d = cos - slant * sin, sin + slant * cos, -sin, cos  # from output to input, about the centre
    matrix = torch.stack([a, b, -(a * x + b * y), c, d, -(c * x + d * y)], 1).view(n, 2, 3)
    return warp(images, matrix, "zeros")


def color_jitter(
    images: Tensor,
    generator: Generator,
    *,
    brightness: float | Sequence[float] = 0,
    contrast: float | Sequence[float] = 0,
    saturation: float | Sequence[float] = 0,
    hue: float | Sequence[float] = 0,
) -> Tensor:
    """Always in the order brightness, contrast, saturation, hue."""
    for amount, reference in (
        (brightness, torch.zeros_like),
        (contrast, lambda x: gray(x).mean((1, 2, 3), keepdim=True)),
        (saturation, gray),
    ):
        low, high = amount if isinstance(amount, Sequence) else (max(0, 1 - amount), 1 + amount)
        factor = uniform(generator, len(images), (low, high), images, least=0)
        images = blend(reference(images), images, factor)
    if hue != 0:
        low, high = interval(hue)
        if not -0.5 <= low <= high <= 0.5:
            raise ValueError("hue must be between -0.5 and 0.5")
        images = adjust_hue(images, uniform(generator, len(images), (low, high), images))
    return images


def random_grayscale(images: Tensor, generator: Generator, *, p: float = 0.1) -> Tensor:
    return torch.where(chosen(images, generator, p), gray(images).expand_as(images), images)


def gaussian_blur(
    images: Tensor,
    generator: Generator,
    *,
    kernel_size: int | Sequence[int],
    sigma: float | Sequence[float] = (0.1, 2.0),
) -> Tensor:
    width, height = kernel_size if isinstance(kernel_size, Sequence) else (kernel_size, kernel_size)
    for side in (width, height):
        require_pixels("kernel_size", side)
        if side % 2 == 0:
            raise ValueError("kernel_size must be odd")
    low, high = sigma if isinstance(sigma, Sequence) else (sigma, sigma)
    if not low > 0:
        raise ValueError("sigma must be greater than 0")
    return blur(images, (width, height), uniform(generator, len(images), (low, high), images))


def random_erasing(
    images: Tensor,
    generator: Generator,
    *,
    p: float = 0.5,
    scale: Sequence[float] = (0.02, 0.33),
    ratio: Sequence[float] = (0.3, 3.3),
    value: float = 0,
) -> Tensor:
    """The rectangle lies wholly inside the image; its sides are cut to the image's."""
    n, _, height, width = images.shape
    area = uniform(generator, n, scale, images, least=0) * height * width
    aspect = uniform(generator, n, [math.log(r) for r in ratio], images).exp()
    h = (area * aspect).sqrt().round().clamp(1, height)
    w = (area / aspect).sqrt().round().clamp(1, width)
    top = (uniform(generator, n, (0, 1), images) * (height - h + 1)).floor()
    left = (uniform(generator, n, (0, 1), images) * (width - w + 1)).floor()
    rows, columns = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    inside_rows = (rows >= top[:, None]) & (rows < (top + h)[:, None])
    inside_columns = (columns >= left[:, None]) & (columns < (left + w)[:, None])
    rectangle = inside_rows.view(n, 1, height, 1) & inside_columns.view(n, 1, 1, width)
    return images.masked_fill(rectangle & chosen(images, generator, p), value)


TRANSFORMS: dict[str, Callable[..., Tensor]] = {
    "RandomResize": random_resize,
    "RandomResizedCrop": random_resized_crop,
    "RandomRotation": random_rotation,
    "RandomAffine": random_affine,
    "RandomCrop": random_crop,
    "RandomHorizontalFlip": random_horizontal_flip,
    "RandomVerticalFlip": random_vertical_flip,
    "TrivialAugmentWide": trivial_augment_wide,
    "RandAugment": rand_augment,
    "AutoAugment": auto_augment,
    "ColorJitter": color_jitter,
    "RandomGrayscale": random_grayscale,
    "GaussianBlur": gaussian_blur,
    "RandomErasing": random_erasing,
}
