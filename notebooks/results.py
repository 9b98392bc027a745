"""What the pages show: the test images, what the model said of them, and the model to ask for more."""

from collections.abc import Callable
from dataclasses import dataclass

from classifier.data.images import decode
from classifier.errors import InputError
from classifier.paths import CHECKPOINT, split_path
from classifier.results.predictions import class_names, load_predictions, require_prepared, require_same_model

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
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    answers = load_predictions()
    require_prepared(answers)
    path = split_path("test")
    try:
        return Results(answers, load_file(path)["images"])
    except FileNotFoundError:
        raise InputError(f"{path} not found: run `dvc repro`, or fetch results with `dvc pull`.") from None
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({error}): run `dvc repro -f prepare`.") from None


def load_model(results: Results) -> Ask:
    """The model as evaluate.py uses it, so that the test results hold for its answers.

    Raises:
        InputError: if it cannot be used, or the results are those of another model.
    """
    from classifier.config import load_params
    from classifier.network.predictor import Predictor

    params = load_params("evaluate")
    predictor = Predictor(CHECKPOINT, params.tta, params.precision)
    require_same_model(results.answers, results.images, predictor.metadata.classes, predictor)

    def ask(image: bytes | np.ndarray) -> tuple[np.ndarray, pd.Series]:
        pixels = decode(image, predictor.metadata.image_size) if isinstance(image, bytes) else image
        return pixels, pd.Series(predictor(pixels[None])[0], predictor.metadata.classes)

    return ask
