"""A checkpoint as a function from images to probabilities."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from classifier.data.rows import Rows
from classifier.errors import InputError
from classifier.network.checkpoint import load_checkpoint
from classifier.network.inference import batch_size, predict_logits
from classifier.reproducibility import choose_algorithms, describe_environment, select_device, set_precision

import numpy as np
import torch
from torch import Tensor


class Predictor:
    """The network of a checkpoint, on the device to use.

    Args:
        path: the checkpoint.
        tta, precision: as `evaluate.tta` and `evaluate.precision`.

    Raises:
        InputError: if the file is missing, damaged or no checkpoint, or DEVICE cannot be used.
    """

    def __init__(self, path: str | Path, tta: str = "none", precision: str = "auto"):
        network, self.metadata = load_checkpoint(path)
        self.path = path
        choose_algorithms(deterministic=True)
        self.device, self.tta = select_device(), tta
        self.dtype = set_precision(precision, self.device)
        self.network = network.to(self.device)

    @property
    def environment(self) -> dict[str, str | int]:
        """What the last digits of the probabilities depend on."""
        return describe_environment(self.device, self.dtype, self.metadata.model)

    def __call__(self, images: np.ndarray | Rows) -> np.ndarray:
        """Probabilities, float64 [N, num_classes], of stored images, uint8 [N, 3, size, size], a batch at a time."""
        return self.answer(self.batches(images))

    def batches(self, images: np.ndarray | Rows) -> Iterator[Tensor]:
        """Stored images, uint8 [N, 3, size, size], on the device, as many at once as fit."""
        size = batch_size(self.network)
        for start in range(0, len(images), size):
            yield torch.from_numpy(np.array(images[start : start + size])).to(self.device)

    def answer(self, batches: Iterable[Tensor]) -> np.ndarray:
        """The same for batches of images on the device.

        Raises:
            InputError: if the network's numbers overflow, which would read as an answer.
        """
        logits = predict_logits(self.network, batches, self.dtype, self.tta)
        probabilities = self.network.probabilities(logits.cpu().double()).numpy()
        if not np.isfinite(probabilities).all():
            raise InputError(f"{self.path} answers with what is no number: its weights or its precision do not work.")
        return probabilities
