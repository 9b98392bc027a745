"""What the pages show: the test images, what the model said of them, and the model to ask for more.

Where nothing was held back for a test, the validation images stand in their place.
"""

from collections.abc import Callable
from dataclasses import dataclass

from classifier.data.images import decode
from classifier.data.prepared import map_split
from classifier.data.rows import Rows
from classifier.paths import CHECKPOINT, PREDICTIONS
from classifier.results.predictions import class_names, load_predictions, require_prepared, require_same_model

import numpy as np
import pandas as pd

# From an image file, or a prepared image, uint8 [3, size, size], to what the model sees of it, uint8 [3, crop, crop],
# and a probability for each class.
Ask = Callable[[bytes | np.ndarray], tuple[np.ndarray, pd.Series]]


@dataclass(frozen=True)
class Results:
    answers: pd.DataFrame
    images: Rows  # uint8 [N, 3, H, W], in the order of `answers`; read when they are shown
    split: str  # that they are of: test, or val where nothing was held back for a test

    @property
    def classes(self) -> list[str]:
        return class_names(self.answers)


def load_results() -> Results:
    """Read what prepare.py and evaluate.py wrote; without torch, which is slower to import than the page to appear.

    Raises:
        InputError: if something is missing or does not fit together.
    """
    answers = load_predictions()
    split = require_prepared(answers)
    return Results(answers, map_split(split).images, split)


def modified() -> float | None:
    """When the results were written; None while a stage has not written them yet."""
    try:
        return PREDICTIONS.stat().st_mtime
    except FileNotFoundError:
        return None


def load_model(results: Results) -> Ask:
    """The model as evaluate.py uses it, so that the results hold for its answers.

    Raises:
        InputError: if it cannot be used, or the results are those of another model.
    """
    from classifier.config import load_params
    from classifier.network.predictor import Predictor

    params = load_params("evaluate")
    predictor = Predictor(CHECKPOINT, params.tta, params.precision)
    require_same_model(results.answers, results.images, predictor.metadata.classes, predictor)

    def ask(image: bytes | np.ndarray) -> tuple[np.ndarray, pd.Series]:
        wanted = predictor.metadata.preprocessing
        pixels = decode(image, wanted.size, wanted.fit, wanted.interpolation) if isinstance(image, bytes) else image
        return wanted.centre(pixels), pd.Series(predictor(pixels[None])[0], predictor.metadata.classes)

    return ask
