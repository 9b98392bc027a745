"""The one colour that a PNG without an alpha channel may declare transparent (its chunk tRNS), made white.

Pillow reads what the chunk says, and knows it only of palettes and of 8-bit grayscale. The specification compares
samples as they are stored: 2 and 4 bits before they are scaled to 8, and 16 bits before they are cut to 8.
"""

import io

import numpy as np
from PIL import Image

SCALE = {"L;2": 0x55, "L;4": 0x11}  # from samples of 2 and 4 bits to 8
ROWS = 256  # compared at a time, which bounds memory


def load(picture: Image.Image, data: bytes) -> None:
    """Decode `picture`, which Pillow has opened from `data`, with that colour in white.

    Raises:
        Exception: of nearly any kind, by Pillow, if it is damaged.
    """
    stored = picture.tile[0].args if picture.format == "PNG" and picture.tile else None  # type: ignore[attr-defined]
    picture.load()
    if stored is None or picture.mode not in ("1", "L", "I;16", "RGB") or "transparency" not in picture.info:
        return
    colour = np.array(picture.info.pop("transparency"))
    if picture.mode == "I;16":
        pixels = np.asarray(picture)
        picture.im = Image.fromarray(np.where(pixels == colour, np.uint16(65535), pixels)).im
        return
    if stored == "RGB;16B":
        low = _low_bytes(data)
        planes = [(picture, colour >> 8), (low, colour & 255)]
    else:
        planes = [(picture, (colour * SCALE.get(stored, 1)) & 255)]
    for top in range(0, picture.height, ROWS):
        box = (0, top, picture.width, min(picture.height, top + ROWS))
        same = [(np.asarray(plane.crop(box)).astype(np.uint8) == value) for plane, value in planes]
        picture.paste("white", box, _mask(np.logical_and.reduce(same)))


def _mask(same: np.ndarray) -> Image.Image:
    """Where all channels are the same, bool [H, W] or [H, W, 3]."""
    return Image.fromarray(same.all(axis=2) if same.ndim == 3 else same)


def _low_bytes(data: bytes) -> Image.Image:
    """The lower halves of an RGB image's 16-bit samples, of which Pillow itself keeps the upper ones."""
    picture = Image.open(io.BytesIO(data), formats=("PNG",))
    picture.tile = [tile._replace(args="RGB;16L") for tile in picture.tile]
    picture.load()
    return picture
