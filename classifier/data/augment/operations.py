"""What the random transforms do to pixels, without their draws: batched, with a parameter for each image.

Images are float [N, 3, H, W] in [0, 1], parameters [N], on one device. The operations that share a
name with one of torchvision.transforms.v2.functional compute the same.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 256  # of the 8-bit images that posterize and equalize are about


def gray(images: Tensor) -> Tensor:
    """ITU-R 601 luma, [N, 1, H, W]."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device)
    return (images * weights.view(1, 3, 1, 1)).sum(1, keepdim=True)


def blend(reference: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    """From `reference` (factor 0) over the image (1) to beyond it, clamped to [0, 1]."""
    return torch.lerp(reference.expand_as(images), images, _per_image(factor)).clamp(0, 1)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    return blend(torch.zeros_like(images), images, factor)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    return blend(gray(images).mean((1, 2, 3), keepdim=True), images, factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    return blend(gray(images), images, factor)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by `shift` of the colour circle, from -0.5 to 0.5."""
    red, green, blue = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    spread = value - least
    divisor = torch.where(spread > 0, spread, 1)
    hue = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sextant = hue + 6 * shift.view(-1, 1, 1)
    turned = []
    for offset in (5, 3, 1):  # how far each channel lies below the value, as a function of the hue
        k = (sextant + offset).remainder(6)
        turned.append(value - spread * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(turned, 1)


def adjust_sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with a 3 × 3 blur; the outermost pixels stay, as do images of less than 3 pixels."""
    if min(images.shape[-2:]) < 3:
        return images
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1] = 5
    blurred = images.clone()
    blurred[..., 1:-1, 1:-1] = F.conv2d(images, (kernel / 13).expand(3, 1, 3, 3), groups=3)
    return blend(blurred, images, factor)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the upper `bits` of each 8-bit value."""
    step = _per_image(2 ** (8 - bits.int()))
    return (_to_levels(images) // step * step) / (LEVELS - 1)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the values from `threshold` on."""
    return torch.where(images >= _per_image(threshold), 1 - images, images)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel to [0, 1]; one of a single value stays."""
    least, most = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    spread = most - least
    return torch.where(spread > 0, (images - least) / torch.where(spread > 0, spread, 1), images)


def equalize(images: Tensor) -> Tensor:
    """Make the histogram of each channel flat, in 8 bits as Pillow does."""
    n, channels, height, width = images.shape
    pixels = _to_levels(images).view(n * channels, height * width)
    rows = torch.arange(n * channels, device=images.device).view(-1, 1) * LEVELS
    histogram = torch.bincount((pixels + rows).flatten(), minlength=n * channels * LEVELS).view(-1, LEVELS)
    cumulated = histogram.cumsum(1)
    last = histogram.gather(1, pixels.amax(1, keepdim=True))  # how many pixels have the highest value that occurs
    step = (height * width - last) // (LEVELS - 1)
    below = F.pad(cumulated[:, :-1], (1, 0))
    table = ((below + step // 2) // step.clamp(min=1)).clamp(max=LEVELS - 1)
    table = torch.where((step > 0), table, torch.arange(LEVELS, device=images.device))
    return table.gather(1, pixels).view_as(images) / (LEVELS - 1)


def invert(images: Tensor) -> Tensor:
    return 1 - images


def gaussian_blur(images: Tensor, kernel_size: tuple[int, int], sigma: Tensor) -> Tensor:
    """Blur with a kernel of `kernel_size` (x, y) pixels, both odd; beyond the border the image is mirrored."""
    n, channels, height, width = images.shape
    blurred = images.reshape(1, n * channels, height, width)  # so that each image has kernels of its own
    for size, along_x in zip(kernel_size, (True, False), strict=True):
        distance = torch.arange(size, device=images.device) - size // 2
        kernel = torch.exp(-0.5 * (distance / sigma.view(-1, 1)) ** 2)
        kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
        border = (size // 2, size // 2, 0, 0) if along_x else (0, 0, size // 2, size // 2)
        shape = (-1, 1, 1, size) if along_x else (-1, 1, size, 1)
        blurred = F.conv2d(F.pad(blurred, border, mode="reflect"), kernel.view(shape), groups=n * channels)
    return blurred.view_as(images)


def warp(images: Tensor, matrix: Tensor, padding_mode: str, interpolation: str = "bilinear", fill: float = 0) -> Tensor:
    """Sample the images where the affine maps [N, 2, 3] send each output pixel (in [-1, 1]).

    With padding_mode `zeros`, what comes from outside the image is `fill`.
    """
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    if fill:
        return warp(images - fill, matrix, padding_mode, interpolation) + fill
    return F.grid_sample(images, grid, interpolation, padding_mode, align_corners=False)


def resize_box(images: Tensor, left: Tensor, top: Tensor, width: Tensor, height: Tensor, size: int) -> Tensor:
    """Cut a box out of each image and resize it to `size` × `size`: bilinear, antialiased where it shrinks.

    The same as Pillow's `resize(box=…)`: boxes need not lie on whole pixels, and what is averaged at
    their border may lie a little outside of them, though never outside of the image. As products of
    matrices, which costs a few percent of a training step of the smallest usual networks.

    Args:
        images: float [N, C, H, W].
        left, top, width, height: the boxes in pixels, [N].

    Returns:
        float [N, C, size, size].
    """
    rows = _resampling(top, height, images.shape[-2], size)
    columns = _resampling(left, width, images.shape[-1], size)
    return rows.unsqueeze(1) @ images @ columns.transpose(1, 2).unsqueeze(1)


def center_crop(images: Tensor, size: int) -> Tensor:
    """The middle `size` × `size` pixels of images [..., H, W], where torchvision's CenterCrop takes them."""
    top, left = (round((side - size) / 2) for side in images.shape[-2:])
    return images[..., top : top + size, left : left + size]


def _resampling(start: Tensor, extent: Tensor, pixels: int, size: int) -> Tensor:
    """How much each of `pixels` counts for each of `size` samples of an interval, [N, size, pixels]."""
    step = (extent / size).view(-1, 1, 1)
    centers = start.view(-1, 1, 1) + (torch.arange(size, device=start.device).view(-1, 1) + 0.5) * step
    distance = torch.arange(pixels, device=start.device) + 0.5 - centers
    weights = (1 - distance.abs() / step.clamp(min=1)).clamp(min=0)
    return weights / weights.sum(2, keepdim=True)


def _to_levels(images: Tensor) -> Tensor:
    return (images * (LEVELS - 1)).round().long()


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
