"""Pictures for people: grids of images with what the model says of them."""

import io
from collections.abc import Sequence

import matplotlib
import numpy as np

matplotlib.rcdefaults()  # a matplotlibrc of the user's would change the pictures
matplotlib.use("agg")
from matplotlib import pyplot as plt

LONGEST = 12  # characters of a class name that fit above an image, with a confidence beside them
RIGHT, WRONG = "#0b5394", "#b45f06"  # blue and orange stay apart for every kind of colour vision


def image_grid(
    images: np.ndarray,
    truths: Sequence[str],
    predictions: Sequence[str],
    confidences: Sequence[float],
    title: str,
    columns: int = 8,
) -> bytes:
    """A PNG of `images`, uint8 [N, 3, H, W], each with its prediction, and the truth where they differ."""
    rows = max(1, -(-len(images) // columns))
    side, label, header, margin = 1.3, 0.42, 0.34, 0.1  # inches
    width, height = columns * side + 2 * margin, rows * (side + label) + header + margin
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, dpi=100)
    figure.subplots_adjust(
        left=margin / width,
        right=1 - margin / width,
        bottom=margin / height,
        top=1 - (header + label) / height,
        wspace=0.06,
        hspace=label / side,
    )
    figure.suptitle(title, x=margin / width, y=1 - margin / height, ha="left", va="top", fontsize=13)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, truth, prediction, confidence in zip(
        axes.flat, images, truths, predictions, confidences, strict=False
    ):
        axis.imshow(image.transpose(1, 2, 0), interpolation="nearest")
        right = truth == prediction
        text = f"{_short(prediction)} {confidence:.0%}"
        axis.set_title(
            text if right else f"{text}\nis {_short(truth)}",
            fontsize=9,
            color=RIGHT if right else WRONG,
            pad=3,
            parse_math=False,
            linespacing=1.1,
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})  # no version in the bytes
    plt.close(figure)
    return buffer.getvalue()


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1].rstrip() + "…"
