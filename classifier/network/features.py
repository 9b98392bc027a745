"""What a network makes of images before its head: by these features, images are alike for it or not."""

from collections.abc import Iterable

from classifier.network.network import Network

import numpy as np
import torch
from torch import Tensor, nn

BLOCK = 1024  # rows that are compared at a time, which bounds memory


def compute_features(network: Network, batches: Iterable[Tensor], dtype: torch.dtype) -> np.ndarray:
    """What the head of `network` gets for each image, as evaluation shows it.

    A head that gets a vector for each place of the image, as SqueezeNet's, or for each token, counts with their mean.

    Args:
        batches: stored images, uint8 [n, 3, size, size] each, on the network's device.
        dtype: to compute in.

    Returns:
        float32 [N, features].
    """
    seen: list[Tensor] = []
    places = 1 if isinstance(network.head, nn.Linear) else 2  # the axis after which, or before which, they lie

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        vectors = inputs[0].float()
        vectors = vectors.flatten(1, -2) if places == 1 and vectors.ndim > 2 else vectors.flatten(places)
        seen.append(vectors.mean(places) if vectors.ndim == 3 else vectors)

    network.eval()
    hook = network.head.register_forward_pre_hook(keep)
    try:
        with torch.inference_mode():
            for images in batches:
                with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
                    network.module(network.see(images))
    finally:
        hook.remove()
    return torch.cat(seen).cpu().numpy()


def nearest(features: np.ndarray, others: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """For each row of `features` the `count` rows of `others` that point most nearly the same way, the nearest first.

    Args:
        features: float32 [N, features].
        others: float32 [M, features].

    Returns:
        their indices, int [N, count], and the cosines, float32 [N, count]; fewer columns, where M is less.
    """
    features, others = _of_length_one(features), _of_length_one(others)
    count = min(count, len(others))
    indices, cosines = np.zeros((len(features), count), int), np.zeros((len(features), count), np.float32)
    for start in range(0, len(features), BLOCK):
        found = features[start : start + BLOCK] @ others.T
        order = np.argsort(-found, axis=1, kind="stable")[:, :count]
        indices[start : start + BLOCK] = order
        cosines[start : start + BLOCK] = np.take_along_axis(found, order, axis=1)
    return indices, cosines


def _of_length_one(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
