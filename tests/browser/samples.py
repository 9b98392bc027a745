"""Image files of many kinds, which Pillow and the browser must read alike."""

import io

import numpy as np
from PIL import Image


def encode(picture: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def digit(width: int = 240, height: int = 320) -> Image.Image:
    """A 7 on paper, with colours and edges everywhere, so that every error in reading or resizing tells."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    ink = ((abs(y - 0.35) < 0.05) & (abs(x - 0.4) < 0.2)) | ((abs(x + 0.5 * y - 0.75) < 0.06) & (y > 0.35) & (y < 0.9))
    paper = np.stack([200 * x, 120 * y, 60 * (np.sin(40 * x) + 1)], 2)
    noise = np.random.default_rng(0).integers(0, 40, (height, width, 3))
    return Image.fromarray(np.where(ink[..., None], 235, paper + noise).clip(0, 255).astype(np.uint8))


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    return encode(digit().rotate(90, expand=True), "JPEG", quality=95, subsampling=0, exif=exif)


def transparent(mode: str = "RGBA", format: str = "PNG", **options) -> bytes:
    picture = digit().convert(mode)
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return encode(picture, format, **options)


def with_holes(format: str) -> bytes:
    """Of a palette, the colours of the paper's darker parts are transparent."""
    picture = digit().quantize(8)
    return encode(picture, format, transparency=picture.getpixel((0, 0)))


def with_a_transparent_colour(mode: str) -> bytes:
    """Of an image without an alpha channel, the colour of the ink is transparent."""
    picture = digit().convert(mode)
    return encode(picture, transparency=(235, 235, 235) if mode == "RGB" else 235)


def animated() -> bytes:
    return encode(digit().quantize(64), "GIF", save_all=True, append_images=[Image.new("RGB", (240, 320), "white")])


# Pixels that the browser decodes as Pillow does to the last bit must give the same answer; elsewhere the two
# decoders round differently, by a level or two of 255.
LOSSLESS = {
    "portrait": lambda: encode(digit()),
    "landscape": lambda: encode(digit(333, 217)),
    "tall": lambda: encode(digit(100, 300)),
    "wide": lambda: encode(digit(900, 200)),
    "tiny": lambda: encode(digit(9, 7)),
    "the model's own size": lambda: encode(digit(16, 16)),
    "one pixel high": lambda: encode(digit(100, 1)),
    "grayscale": lambda: encode(digit().convert("L")),
    "black and white": lambda: encode(digit().convert("1")),
    "palette": lambda: encode(digit().quantize(64)),
    "lossless WebP": lambda: encode(digit(), "WEBP", lossless=True),
    "BMP": lambda: encode(digit(), "BMP"),
    "animated GIF": animated,
    "GIF with transparent parts": lambda: with_holes("GIF"),
    "palette with a transparent colour": lambda: with_holes("PNG"),
    "RGB with a transparent colour": lambda: with_a_transparent_colour("RGB"),
    "grayscale with a transparent level": lambda: with_a_transparent_colour("L"),
}
ROUNDED = {
    "JPEG": lambda: encode(digit(), "JPEG", quality=90),
    "rotated by EXIF": rotated,
    "CMYK": lambda: encode(digit().convert("CMYK"), "JPEG", quality=95),
    "transparent": transparent,
    "transparent grayscale": lambda: transparent("L"),
    "transparent WebP": lambda: transparent("RGBA", "WEBP", lossless=True),
    "16-bit with a transparent level": lambda: encode(
        Image.fromarray(np.asarray(digit().convert("L")).astype(np.uint16) * 257), transparency=235 * 257
    ),
    "16-bit": lambda: encode(Image.fromarray(np.asarray(digit().convert("L")).astype(np.uint16) * 257)),
}
