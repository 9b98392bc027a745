"""Logits of a network for prepared images, the same way in training, evaluation and prediction."""

from collections.abc import Iterable

from classifier.network.network import Network

import torch
import torch.nn.functional as F
from torch import Tensor

BATCH_SIZE = 500  # images of 64 pixels or less


def predict_logits(network: Network, batches: Iterable[Tensor], dtype: torch.dtype, tta: str = "none") -> Tensor:
    """Logits of stored images, uint8 [n, 3, size, size] a batch, as float32 [N, num_classes] on their device.

    `tta` averages the logits over views of each image: "flip" takes the image and its mirror image,
    "flip+shift" also both of them shifted by one pixel up-left and down-right (arXiv 2404.00498).
    """
    network.eval()
    logits = []
    with torch.inference_mode():
        for batch in batches:
            views = test_time_views(network.see(batch), tta)
            with torch.autocast(batch.device.type, dtype, enabled=dtype != torch.float32):
                mean: Tensor = sum(weight * network(view).float() for weight, view in views)  # type: ignore[assignment]
                logits.append(mean)
    return torch.cat(logits)


def batch_size(network: Network) -> int:
    """How many images to give a network at once, so that memory does not grow with their size."""
    return max(1, min(BATCH_SIZE, BATCH_SIZE * 64**2 // network.preprocessing.crop**2))


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
