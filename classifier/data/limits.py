"""How much memory decoding an image takes, known from its header before a decoder allocates any, and how much it may.

One image takes less than IMAGE bytes, all that are decoded at the same time less than TOTAL, however many threads
there are; the interpreter comes on top, and what is done with the results.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from PIL import Image

MAX_PIXELS = 100_000_000
IMAGE = 900_000_000  # bytes
MAX_BYTES = 400_000_000  # of an encoded image: an uncompressed one of MAX_PIXELS
TOTAL = 1_000_000_000
ICON = 1024  # pixels a side of a picture in an .ico; the format's own limit was 256

# Bytes a pixel at the peak, beside the file and the decoded picture: what a decoder keeps for itself. Measured.
DECODER = {"WEBP": 16, "AVIF": 16, "JPEG2000": 28, "TIFF": 4, "PPM": 8}
PROGRESSIVE = 2  # a channel: the coefficients of all scans, of a JPEG that needs them together
NARROW = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}  # modes of less than 4 bytes a pixel


def memory_needed(picture: Image.Image, encoded: int) -> int:
    """Bytes that decoding takes at its peak, the file of `encoded` bytes included, of a picture with its header read.

    Raises:
        ValueError: if that is more than one image may take.
    """
    pixels, name = picture.width * picture.height, picture.format or ""
    a_pixel = NARROW.get(picture.mode, 4) + 4 + DECODER.get(name, 0)  # as decoded, and upright or as RGB
    if name in ("JPEG", "MPO"):
        a_pixel += PROGRESSIVE * len(picture.getbands())
    if encoded > MAX_BYTES:
        raise ValueError(f"the file is larger than {MAX_BYTES / 1e6:.0f} MB")
    needed = encoded + pixels * a_pixel
    if needed > IMAGE:
        raise ValueError(
            f"{picture.width} × {picture.height} as {name} would take {needed / 1e6:,.0f} MB to decode, more than "
            f"{IMAGE / 1e6:,.0f}: make it smaller, or save it as PNG"
        )
    return needed


def require_small_icon(data: bytes) -> None:
    """Refuse an .ico that holds a picture of more than ICON pixels a side: what its directory says need not be true.

    Raises:
        ValueError: with the sides.
    """
    if data[:4] != b"\0\0\1\0":
        return
    (count,) = struct.unpack_from("<H", data.ljust(6, b"\0"), 4)
    for start in range(6, min(6 + 16 * count, len(data) - 15), 16):
        (offset,) = struct.unpack_from("<I", data, start + 12)
        head = data[offset : offset + 24].ljust(24, b"\0")
        sides = (
            struct.unpack_from(">II", head, 16) if head.startswith(b"\x89PNG") else struct.unpack_from("<ii", head, 4)
        )
        if max(map(abs, sides)) > 2 * ICON:  # a bitmap's height counts its mask, too
            raise ValueError(f"an icon that holds {sides[0]} × {sides[1]} pixels, more than {ICON} a side")


class Budget:
    """Bytes that several threads share: who needs more than is left waits until others are done."""

    def __init__(self, total: int):
        self.total, self.used, self._changed = total, 0, Condition()

    @contextmanager
    def reserve(self, needed: int) -> Iterator[None]:
        """Hold `needed` bytes during the block; more than the total only when nobody else holds any."""
        with self._changed:
            self._changed.wait_for(lambda: not self.used or self.used + needed <= self.total)
            self.used += needed
        try:
            yield
        finally:
            with self._changed:
                self.used -= needed
                self._changed.notify_all()


MEMORY = Budget(TOTAL)
