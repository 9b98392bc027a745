"""How much memory decoding an image takes, known from its header before a decoder allocates any, and how much it may.

One image takes less than IMAGE bytes, all that are decoded at the same time less than TOTAL, however many threads
there are; the interpreter comes on top, and what is done with the results.
"""

import ctypes
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Any

from PIL import Image

MAX_PIXELS = 100_000_000
IMAGE = 900_000_000  # bytes
MAX_BYTES = 400_000_000  # of an encoded image: an uncompressed one of MAX_PIXELS
TOTAL = 1_000_000_000
WORTH_TRIMMING = 64_000_000  # bytes; a smaller picture's may stay with its thread, which soon needs as many again
ICON = 1024  # pixels a side of a picture in an .ico; the format's own limit was 256

# Bytes a pixel, measured: what decoders keep for themselves beside the picture, ...
DECODER = {"WEBP": 20, "AVIF": 24, "JPEG2000": 24}
COEFFICIENT = 2  # ... of each channel of a JPEG whose scans must be put together; and what a pixel of a mode takes
NARROW = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
WIDE = 4  # any other
WITHOUT_EXIF = ("BMP", "PPM", "TGA", "GIF")  # whose pictures are never turned, which takes a copy


def memory_needed(picture: Image.Image, data: bytes) -> int:
    """Bytes that decoding the file `data` takes at its peak, itself included; `picture` is what its header says.

    Raises:
        ValueError: if that is more than one image may take.
    """
    pixels, name = picture.width * picture.height, picture.format or ""
    own = pixels * DECODER.get(name, 0)
    if name == "TIFF":
        own = _block_of_tiff(picture)
    elif name == "PPM" and data[:2] in (b"P1", b"P2", b"P3"):  # numbers in words
        own = pixels * 2 * WIDE
    elif name in ("JPEG", "MPO") and not _in_one_scan(picture, data):
        own = pixels * COEFFICIENT * len(picture.getbands())
    as_is = picture.mode == "RGB" and name in WITHOUT_EXIF
    after = 0 if as_is else pixels * WIDE  # the picture as RGB, or turned
    needed = len(data) + pixels * NARROW.get(picture.mode, WIDE) + max(own, after)
    if needed > IMAGE:
        raise ValueError(
            f"{picture.width} × {picture.height} as {name} would take {needed / 1e6:,.0f} MB to decode, more than "
            f"{IMAGE / 1e6:,.0f}: make it smaller, or save it as PNG"
        )
    return needed


def _in_one_scan(picture: Image.Image, data: bytes) -> bool:
    """Whether a JPEG's first scan has all channels at once, so that rows can be decoded as they come."""
    if picture.info.get("progressive"):
        return False
    at = 2
    while data[at : at + 1] == b"\xff" and at + 4 < len(data):
        if data[at + 1] == 0xDA:
            return data[at + 4] == len(picture.getbands())
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False  # the header is odd: expect the worst


def _block_of_tiff(picture: Image.Image) -> int:
    """Bytes of a strip or tile of a TIFF, which is decoded as a whole."""
    tags: Any = getattr(picture, "tag_v2", {})
    bits, samples = tags.get(258, 1), tags.get(277, 1)  # BitsPerSample, of each channel; SamplesPerPixel
    a_pixel = max(bits if isinstance(bits, tuple) else (bits,)) * samples / 8
    width, rows = tags.get(322), tags.get(323)  # TileWidth, TileLength
    if not width or not rows:
        width, rows = picture.width, min(tags.get(278, picture.height), picture.height)  # RowsPerStrip
    return int(width * rows * a_pixel)


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


# glibc keeps for a thread what it has freed; this gives it back to the system. Other C libraries have no such function.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


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
            if needed >= WORTH_TRIMMING and _trim:
                _trim(0)
            with self._changed:
                self.used -= needed
                self._changed.notify_all()


MEMORY = Budget(TOTAL)
