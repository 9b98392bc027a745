"""Where a network looked: the places of an image that its answer rests on (Grad-CAM, arXiv 1610.02391).

The last feature map in which an image still has places is found by watching all modules while they work, so this needs
to know nothing of the network. Transformers without such a map, whose last layers see a row of tokens, are asked
instead how much each pixel would change the answer, which is noisier; the result says which of both it is.
"""

from typing import NamedTuple

from classifier.network.inference import batch_size
from classifier.network.network import Network

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST = 4  # places a side, with fewer of which a map says little
GRAD_CAM, GRADIENT = "Grad-CAM", "gradient of the pixels"
BLUR = 16  # the gradient of pixels is averaged over squares of this part of a side


class Looked(NamedTuple):
    heat: np.ndarray  # float32 [N, crop, crop], from 0 to 1 at the warmest place; all 0 where nothing spoke for a class
    method: str  # GRAD_CAM or GRADIENT


def where_it_looked(network: Network, images: Tensor, classes: Tensor) -> Looked:
    """What speaks for a class of each image, as evaluation shows it.

    Args:
        images: stored images, uint8 [N, 3, size, size], on the network's device, N > 0.
        classes: int64 [N], there too: the class to ask for, such as the one that was answered.
    """
    size = batch_size(network)
    parts = [_look(network, images[i : i + size], classes[i : i + size]) for i in range(0, len(images), size)]
    return Looked(np.concatenate([part.heat for part in parts]), parts[0].method)


def _look(network: Network, images: Tensor, classes: Tensor) -> Looked:
    network.eval()
    outputs: list[Tensor] = []

    def watch(_module: nn.Module, _inputs: tuple[Tensor, ...], output: object) -> None:
        if isinstance(output, Tensor) and output.ndim in (3, 4) and len(output) == len(images):
            outputs.append(output)

    hooks = [module.register_forward_hook(watch) for module in network.module.modules()]
    try:
        with torch.enable_grad():
            seen = network.see(images).requires_grad_()
            answers = network.module(seen).gather(1, classes[:, None]).sum()
            heat = _grad_cam(outputs, answers)
            method = GRADIENT if heat is None else GRAD_CAM
            if heat is None:
                heat = _gradient(seen, answers)
    finally:
        for hook in hooks:
            hook.remove()
    heat = F.interpolate(heat.detach()[:, None], seen.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    warmest = heat.amax((1, 2), keepdim=True)
    return Looked((heat / warmest.clamp(min=torch.finfo(heat.dtype).tiny)).cpu().numpy(), method)


def _grad_cam(outputs: list[Tensor], answers: Tensor) -> Tensor | None:
    """float32 [N, h, w] from the last map with places, or None if what comes after it is a row of tokens."""
    for output in reversed(outputs):
        if output.ndim == 3 and min(output.shape[1:]) > 1:
            return None
        places = _places(output)
        if places is None:
            continue
        (gradient,) = torch.autograd.grad(answers, output, retain_graph=True, allow_unused=True)
        if gradient is not None:
            channels = ({1, 2, 3} - set(places)).pop()
            weights = gradient.mean(places, keepdim=True)
            return (weights * output).sum(channels).relu().float()
    return None


def _places(output: Tensor) -> tuple[int, int] | None:
    """The axes of `output` along which the places of a square image lie, channels first or last; None without any."""
    for axes in ((2, 3), (1, 2)):
        if output.ndim == 4 and output.shape[axes[0]] == output.shape[axes[1]] >= SMALLEST:
            return axes
    return None


def _gradient(seen: Tensor, answers: Tensor) -> Tensor:
    """float32 [N, crop, crop]: how much each pixel would change the answer, averaged over its surroundings."""
    (gradient,) = torch.autograd.grad(answers, seen)
    side = 2 * (seen.shape[-1] // BLUR // 2) + 1
    return F.avg_pool2d(gradient.abs().amax(1, keepdim=True).float(), side, 1, side // 2, count_include_pad=False)[:, 0]
