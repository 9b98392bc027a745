"""Logits of a model for prepared images, the same way in training, evaluation and prediction."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH_SIZE = 500


class Normalize:
    """uint8 or float-in-[0, 1] images to what a network takes: standardised per channel, channels last."""

    def __init__(self, mean: list[float], std: list[float], device: torch.device):
        self.mean = torch.tensor(mean, dtype=torch.float32, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(std, dtype=torch.float32, device=device).view(1, 3, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        return ((scaled - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


def predict_logits(
    model: nn.Module, images: Tensor, normalize: Normalize, dtype: torch.dtype, tta: str = "none"
) -> Tensor:
    """Logits of `images`, uint8 [N, 3, H, W], as float32 [N, num_classes] on the images' device.

    `tta` averages the logits over views of each image: "flip" takes the image and its mirror image,
    "flip+shift" also both of them shifted by one pixel up-left and down-right (arXiv 2404.00498).
    """
    model.eval()
    logits = []
    with torch.inference_mode(), torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        for batch in images.split(BATCH_SIZE):
            views = test_time_views(normalize(batch), tta)
            logits.append(sum(weight * model(view).float() for weight, view in views))
    return torch.cat(logits)


def test_time_views(x: Tensor, tta: str) -> list[tuple[float, Tensor]]:
    """The views of a batch over which logits are averaged, with their weights, which sum to one."""
    if tta == "none":
        return [(1.0, x)]
    if tta == "flip":
        return [(0.5, x), (0.5, x.flip(-1))]
    height, width = x.shape[-2:]
    padded = F.pad(x, (1,) * 4, mode="reflect")
    shifted = [padded[..., :height, :width], padded[..., 2:, 2:]]
    views = [(0.25, x), (0.25, x.flip(-1))]
    return views + [(0.125, v) for s in shifted for v in (s, s.flip(-1))]
