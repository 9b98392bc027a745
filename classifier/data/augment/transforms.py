"""Random transforms of whole batches, named and parametrised as in torchvision.

torchvision's transforms draw once per call, so a batch would share one draw; these draw for each
image. All randomness comes from the generator passed in. Images are float [N, 3, H, W] in [0, 1].

Images keep their size unless `size` says otherwise.
"""

import math
from collections.abc import Callable, Sequence

from classifier.data.augment.autoaugment import auto_augment, rand_augment, trivial_augment_wide
from classifier.data.augment.operations import adjust_hue, blend, gray, resize_box, warp
from classifier.data.augment.operations import gaussian_blur as blur

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
    size: int | None = None,
    scale: Sequence[float] = (0.08, 1.0),
    ratio: Sequence[float] = (3 / 4, 4 / 3),
) -> Tensor:
    """The crop is resized to `size`, bilinear and antialiased.

    Without `size` it gets the size that the images have, bilinear: it can only grow, so there is
    nothing to antialias. Its sides are cut to the image's.
    """
    n = len(images)
    area = _uniform(generator, n, scale, images, least=0)
    log_ratio = _uniform(generator, n, [math.log(r) for r in ratio], images)
    width = (area * log_ratio.exp()).sqrt().clamp(max=1)
    height = (area / log_ratio.exp()).sqrt().clamp(max=1)
    x = (1 - width) * _uniform(generator, n, (-1, 1), images)
    y = (1 - height) * _uniform(generator, n, (-1, 1), images)
    if size is not None:
        _whole("size", size)
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
        _whole(name, value)
    if not size <= min_size < max_size:
        raise ValueError(f"min_size must be at least {size}, the side of the result, and less than max_size")
    sides = torch.randint(min_size, max_size, (n,), generator=generator, device=images.device)
    room = sides - size + 1
    left, top = ((_uniform(generator, n, (0, 1), images) * room).floor() * pixels / sides for _ in range(2))
    extent = size * pixels / sides
    return resize_box(images, left, top, extent, extent, size)


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
        factor = _uniform(generator, len(images), (low, high), images, least=0)
        images = blend(reference(images), images, factor)
    if hue != 0:
        low, high = _interval(hue)
        if not -0.5 <= low <= high <= 0.5:
            raise ValueError("hue must be between -0.5 and 0.5")
        images = adjust_hue(images, _uniform(generator, len(images), (low, high), images))
    return images


def random_grayscale(images: Tensor, generator: Generator, *, p: float = 0.1) -> Tensor:
    return torch.where(_chosen(images, generator, p), gray(images).expand_as(images), images)


def gaussian_blur(
    images: Tensor,
    generator: Generator,
    *,
    kernel_size: int | Sequence[int],
    sigma: float | Sequence[float] = (0.1, 2.0),
) -> Tensor:
    width, height = kernel_size if isinstance(kernel_size, Sequence) else (kernel_size, kernel_size)
    for side in (width, height):
        _whole("kernel_size", side)
        if side % 2 == 0:
            raise ValueError("kernel_size must be odd")
    low, high = sigma if isinstance(sigma, Sequence) else (sigma, sigma)
    if not low > 0:
        raise ValueError("sigma must be greater than 0")
    return blur(images, (width, height), _uniform(generator, len(images), (low, high), images))


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


def _whole(name: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of pixels")
