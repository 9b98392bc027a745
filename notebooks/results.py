"""What the pages show: the test images, what the model said of them, and the model to ask for more."""

from collections.abc import Callable
from dataclasses import dataclass

from classifier.answers import PATH, class_names, load_answers
from classifier.errors import InputError
from classifier.images import decode
from classifier.prepared import split_path

import numpy as np
import pandas as pd

# From an image file, or uint8 [3, H, W], to the image as the model sees it and a probability for each class.
Ask = Callable[[bytes | np.ndarray], tuple[np.ndarray, pd.Series]]


@dataclass(frozen=True)
class Results:
    answers: pd.DataFrame
    images: np.ndarray  # uint8 [N, 3, H, W], in the order of `answers`

    @property
    def classes(self) -> list[str]:
        return class_names(self.answers)


def load_results() -> Results:
    """Read what prepare.py and evaluate.py wrote; without torch, which is slower to import than the page to appear.

    Raises:
        InputError: if something is missing or does not fit together.
    """
    from safetensors.numpy import load_file

    answers = load_answers()
    if not split_path("test").exists():
        raise InputError(f"{split_path('test')} not found: run `dvc repro`, or fetch results with `dvc pull`.")
    images = load_file(split_path("test"))["images"]
    if len(images) != len(answers):
        raise InputError(f"{PATH} is about other images than {split_path('test')}: run `dvc repro`.")
    return Results(answers, images)


def load_model() -> Ask:
    """The model as evaluate.py uses it, so that the test results hold for its answers."""
    from classifier.checkpoint import PATH as CHECKPOINT
    from classifier.config import load_params
    from classifier.predictor import load_predictor

    params = load_params("evaluate")
    predict, metadata = load_predictor(CHECKPOINT, params.tta, params.precision)

    def ask(image: bytes | np.ndarray) -> tuple[np.ndarray, pd.Series]:
        pixels = decode(image, metadata.image_size) if isinstance(image, bytes) else image
        return pixels, pd.Series(predict(pixels[None].copy())[0], metadata.classes)

    return ask
