"""A checkpoint as a function from images to probabilities."""

from pathlib import Path

from classifier.network.checkpoint import load_checkpoint
from classifier.network.inference import Normalize, predict_logits
from classifier.reproducibility import autocast_dtype, describe_environment, make_deterministic, select_device

import numpy as np
import torch


class Predictor:
    """The network of a checkpoint, on the device to use.

    Args:
        path: the checkpoint.
        tta, precision: as `evaluate.tta` and `evaluate.precision`.

    Raises:
        InputError: if the file is missing, damaged or no checkpoint, or DEVICE cannot be used.
    """

    def __init__(self, path: str | Path, tta: str = "none", precision: str = "auto"):
        model, self.metadata = load_checkpoint(path)
        make_deterministic()
        self.device, self.tta = select_device(), tta
        self.dtype = autocast_dtype(precision, self.device)
        self.model = model.to(self.device)
        self.normalize = Normalize(self.metadata.mean, self.metadata.std, self.device)

    @property
    def environment(self) -> dict[str, str | int]:
        """What the last digits of the probabilities depend on."""
        return describe_environment(self.device, self.dtype)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Probabilities, float64 [N, num_classes], of images, uint8 [N, 3, H, W]."""
        writable = np.require(images, requirements="W")  # else torch warns, although nothing writes
        tensor = torch.from_numpy(writable).to(self.device)
        logits = predict_logits(self.model, tensor, self.normalize, self.dtype, self.tta)
        return logits.cpu().double().softmax(1).numpy()
