"""MixUp and CutMix: images mixed in pairs, and labels in the same shares.

torchvision's draw once per batch; these draw for each image. All randomness comes from the generator
passed in: a permutation for the partners, and one uniform number per image for its share, which the
inverse distribution function turns into a draw from the Beta distribution (torch's own Beta takes no
generator).
"""

import torch
from torch import Generator, Tensor


def mixup(images: Tensor, labels: Tensor, alpha: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Blend each image with another one of the batch, and their labels likewise (arXiv:1710.09412).

    Args:
        images: float [N, C, H, W].
        labels: float [N, num_classes], each row adds up to one: one-hot, or already soft.
        alpha: the share that an image keeps is drawn from Beta(alpha, alpha).
        generator: of the images' device.

    Returns:
        the mixed images and labels, of the same shapes.

    Raises:
        ValueError: if alpha is not greater than 0.
    """
    partner, share = _draw(len(images), alpha, generator, images)
    mixed = torch.lerp(images[partner], images, share.to(images.dtype).view(-1, 1, 1, 1))
    return mixed, _mix_labels(labels, partner, share)


def cutmix(images: Tensor, labels: Tensor, alpha: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Cover a rectangle of each image with that of another one, and mix labels by area (arXiv:1905.04899).

    The rectangle has the image's aspect ratio, the drawn area and its centre anywhere, and is cut off
    at the border. Arguments and results are those of `mixup`.
    """
    n, _, height, width = images.shape
    partner, share = _draw(n, alpha, generator, images)
    half = 0.5 * (1 - share).sqrt()
    rows = _span(half, height, generator, images)
    columns = _span(half, width, generator, images)
    covered = rows.sum(1) * columns.sum(1)
    mixed = torch.where(rows.view(n, 1, height, 1) & columns.view(n, 1, 1, width), images[partner], images)
    return mixed, _mix_labels(labels, partner, 1 - covered / (height * width))


def _draw(n: int, alpha: float, generator: Generator, images: Tensor) -> tuple[Tensor, Tensor]:
    """Each image's partner, and the share of itself that it keeps: int64 and float32 [N]."""
    if not alpha > 0:
        raise ValueError("alpha must be greater than 0")
    from scipy.special import betaincinv

    partner = torch.randperm(n, generator=generator, device=images.device)
    uniform = torch.rand(n, generator=generator, device=images.device)
    return partner, torch.from_numpy(betaincinv(alpha, alpha, uniform.cpu().double().numpy())).float().to(images.device)


def _span(half: Tensor, pixels: int, generator: Generator, images: Tensor) -> Tensor:
    """Which of the `pixels` of an axis lie in an interval about a drawn one: bool [N, pixels]."""
    center = torch.randint(pixels, half.shape, generator=generator, device=images.device)
    reach = (half * pixels).long()
    index = torch.arange(pixels, device=images.device)
    return (index >= (center - reach).view(-1, 1)) & (index < (center + reach).view(-1, 1))


def _mix_labels(labels: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    return torch.lerp(labels[partner], labels, share.to(labels.dtype).view(-1, 1))
