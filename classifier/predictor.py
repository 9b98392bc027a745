"""A checkpoint as a function from images to probabilities, for whoever asks a finished model."""

from collections.abc import Callable
from pathlib import Path

from classifier.checkpoint import Metadata, load_checkpoint
from classifier.inference import Normalize, predict_logits
from classifier.reproducibility import autocast_dtype, make_deterministic, select_device

import numpy as np
import torch

Predict = Callable[[np.ndarray], np.ndarray]


def load_predictor(path: str | Path, tta: str = "none", precision: str = "auto") -> tuple[Predict, Metadata]:
    """A function from uint8 [N, 3, H, W] to probabilities, float64 [N, num_classes], as evaluate.py computes them.

    Args:
        path: the checkpoint.
        tta, precision: as `evaluate.tta` and `evaluate.precision`.

    Raises:
        InputError: if the file is missing, damaged or no checkpoint, or DEVICE cannot be used.
    """
    model, metadata = load_checkpoint(path)
    make_deterministic()
    device = select_device()
    model, dtype = model.to(device), autocast_dtype(precision, device)
    normalize = Normalize(metadata.mean, metadata.std, device)

    def predict(images: np.ndarray) -> np.ndarray:
        logits = predict_logits(model, torch.from_numpy(images).to(device), normalize, dtype, tta)
        return logits.cpu().double().softmax(1).numpy()

    return predict, metadata
