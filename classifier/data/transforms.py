"""Random transforms of whole batches, named and parametrised as in torchvision.

torchvision's transforms draw once per call, so a batch would share one draw; these draw for each
image. All randomness comes from the generator passed in. Images are float [N, 3, H, W] in [0, 1].
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def random_horizontal_flip(images: Tensor, generator: Generator, *, p: float = 0.5) -> Tensor:
    return torch.where(_chosen(images, generator, p), images.flip(-1), images)


def random_vertical_flip(images: Tensor, generator: Generator, *, p: float = 0.5) -> Tensor:
    return torch.where(_chosen(images, generator, p), images.flip(-2), images)


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
    top = _integers(generator, n, height - size + 1, images)
    left = _integers(generator, n, width - size + 1, images)
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
    scale: Sequence[float] = (0.08, 1.0),
    ratio: Sequence[float] = (3 / 4, 4 / 3),
) -> Tensor:
    """The crop is resized to the size the images have; parts beyond the border repeat the border."""
    n = len(images)
    area = _uniform(generator, n, scale, images, least=0)
    log_ratio = _uniform(generator, n, [math.log(r) for r in ratio], images)
    width = (area * log_ratio.exp()).sqrt().clamp(max=1)
    height = (area / log_ratio.exp()).sqrt().clamp(max=1)
    x = (1 - width) * _uniform(generator, n, (-1, 1), images)
    y = (1 - height) * _uniform(generator, n, (-1, 1), images)
    zero = torch.zeros_like(x)
    return _warp(images, torch.stack([width, zero, x, zero, height, y], 1).view(n, 2, 3), "border")


def random_rotation(images: Tensor, generator: Generator, *, degrees: float | Sequence[float]) -> Tensor:
    low, high = _interval(degrees)  # counter-clockwise, unlike RandomAffine: as in torchvision
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
    angle = torch.deg2rad(_uniform(generator, n, _interval(degrees), images))
    factor = _uniform(generator, n, scale or (1, 1), images)
    slant = torch.deg2rad(_uniform(generator, n, _interval(shear or 0), images)).tan()
    x, y = (2 * _uniform(generator, n, (-t, t), images) for t in translate or (0, 0))
    cos, sin = angle.cos() / factor, angle.sin() / factor
    a, b, c, d = cos - slant * sin, sin + slant * cos, -sin, cos  # from output to input, about the centre
    matrix = torch.stack([a, b, -(a * x + b * y), c, d, -(c * x + d * y)], 1).view(n, 2, 3)
    return _warp(images, matrix, "zeros")


def color_jitter(
    images: Tensor,
    generator: Generator,
    *,
    brightness: float | Sequence[float] = 0,
    contrast: float | Sequence[float] = 0,
    saturation: float | Sequence[float] = 0,
) -> Tensor:
    """Always in the order brightness, contrast, saturation; torchvision's `hue` is not offered."""
    for amount, reference in (
        (brightness, torch.zeros_like),
        (contrast, lambda x: _gray(x).mean((1, 2, 3), keepdim=True)),
        (saturation, _gray),
    ):
        low, high = amount if isinstance(amount, Sequence) else (max(0, 1 - amount), 1 + amount)
        factor = _uniform(generator, len(images), (low, high), images, least=0).view(-1, 1, 1, 1)
        images = torch.lerp(reference(images).expand_as(images), images, factor).clamp(0, 1)
    return images


def random_grayscale(images: Tensor, generator: Generator, *, p: float = 0.1) -> Tensor:
    return torch.where(_chosen(images, generator, p), _gray(images).expand_as(images), images)


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
    area = _uniform(generator, n, scale, images, least=0) * height * width
    aspect = _uniform(generator, n, [math.log(r) for r in ratio], images).exp()
    h = (area * aspect).sqrt().round().clamp(1, height)
    w = (area / aspect).sqrt().round().clamp(1, width)
    top = (_uniform(generator, n, (0, 1), images) * (height - h + 1)).floor()
    left = (_uniform(generator, n, (0, 1), images) * (width - w + 1)).floor()
    rows, columns = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    inside_rows = (rows >= top[:, None]) & (rows < (top + h)[:, None])
    inside_columns = (columns >= left[:, None]) & (columns < (left + w)[:, None])
    rectangle = inside_rows.view(n, 1, height, 1) & inside_columns.view(n, 1, 1, width)
    return images.masked_fill(rectangle & _chosen(images, generator, p), value)


TRANSFORMS: dict[str, Callable[..., Tensor]] = {
    "RandomResizedCrop": random_resized_crop,
    "RandomRotation": random_rotation,
    "RandomAffine": random_affine,
    "RandomCrop": random_crop,
    "RandomHorizontalFlip": random_horizontal_flip,
    "RandomVerticalFlip": random_vertical_flip,
    "ColorJitter": color_jitter,
    "RandomGrayscale": random_grayscale,
    "RandomErasing": random_erasing,
}


def _uniform(generator: Generator, n: int, bounds: Sequence[float], like: Tensor, least: float = -math.inf) -> Tensor:
    low, high = bounds
    if not least <= low <= high:  # so that NaN fails
        raise ValueError(f"[{low}, {high}] is no range of numbers" + (f" from {least} up" if least == 0 else ""))
    return low + (high - low) * torch.rand(n, generator=generator, device=like.device)


def _integers(generator: Generator, n: int, end: int, like: Tensor) -> Tensor:
    return torch.randint(end, (n, 1), generator=generator, device=like.device)


def _chosen(images: Tensor, generator: Generator, p: float) -> Tensor:
    """Which images a transform of probability `p` hits: bool [N, 1, 1, 1]."""
    if not 0 <= p <= 1:
        raise ValueError("p must be between 0 and 1")
    return (torch.rand(len(images), generator=generator, device=images.device) < p).view(-1, 1, 1, 1)


def _interval(value: float | Sequence[float]) -> Sequence[float]:
    return value if isinstance(value, Sequence) else (-value, value)


def _gray(images: Tensor) -> Tensor:
    """ITU-R 601 luma, [N, 1, H, W]."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device)
    return (images * weights.view(1, 3, 1, 1)).sum(1, keepdim=True)


def _warp(images: Tensor, matrix: Tensor, padding_mode: str) -> Tensor:
    """Sample the images where the affine maps [N, 2, 3] send each output pixel (in [-1, 1])."""
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode=padding_mode, align_corners=False)
