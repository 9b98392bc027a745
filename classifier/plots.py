"""Pictures for people: grids of images with what the model says of them."""

import io
from collections.abc import Sequence

import matplotlib
import numpy as np

matplotlib.rcdefaults()  # a matplotlibrc of the user's would change the pictures
matplotlib.use("agg")
from matplotlib import pyplot as plt

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
    figure, axes = plt.subplots(rows, columns, figsize=(1.35 * columns, 1.75 * rows + 0.6), squeeze=False, dpi=100)
    figure.suptitle(title, x=0.012, ha="left", fontsize=13)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, truth, prediction, confidence in zip(
        axes.flat, images, truths, predictions, confidences, strict=False
    ):
        axis.imshow(image.transpose(1, 2, 0), interpolation="nearest")
        right = truth == prediction
        text = f"{prediction} {confidence:.0%}"
        axis.set_title(
            text if right else f"{text}\nis {truth}",
            fontsize=9,
            color=RIGHT if right else WRONG,
            pad=3,
            parse_math=False,
            linespacing=1.1,
        )
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.1 / rows), h_pad=0.6, w_pad=0.4)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})  # no version in the bytes
    plt.close(figure)
    return buffer.getvalue()
