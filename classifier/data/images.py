"""Encoded images to uint8 arrays of one size: the only place that decodes, for every stage and script.

What is done with unusual images: EXIF orientation is applied; palette, grayscale and CMYK images are
converted to RGB; transparency is laid over white; 16-bit grayscale is scaled to 8 bits; the first
frame of an animation counts. 32-bit and floating-point images have no agreed range and are refused.
"""

import io
import re

from classifier.data.jpeg import require_whole
from classifier.data.transparency import load

import numpy as np
from PIL import Image, ImageOps

# Not all that Pillow opens: some plugins start other programs or read documents.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "TGA", "ICO")
# Pictures that are none of these, by how they begin, whatever their names.
UNREAD = {
    "a HEIC": re.compile(rb"....ftyp.{0,60}?(heic|heix|heim|heis|hevc|hevx)", re.DOTALL),
    "a JPEG XL": re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", re.DOTALL),
    "a Photoshop": re.compile(rb"8BPS\0"),
    "an SVG": re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg[\s>]", re.DOTALL),
    "a PDF": re.compile(rb"%PDF-"),
    "an OpenEXR": re.compile(rb"v/1\x01"),
    "a raw camera": re.compile(rb"FUJIFILMCCD-RAW|II(RO|RS|U\0)|....ftypcrx ", re.DOTALL),
}
MAX_PIXELS = 100_000_000  # 300 MB as RGB; a decompression bomb claims more
Image.MAX_IMAGE_PIXELS = None  # _open checks, and says the size

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}  # Pillow's are antialiased
# About the mean of photographs, so about zero once normalised, which is also what convolutions pad with. Black or
# white would be the strongest edges of most pictures.
GROUND = (128, 128, 128)
# times as long as wide: of a longer picture the ends, which are cut off in any case, would take memory without bound.
LONGEST = 16


def endings() -> set[str]:
    """The file endings of FORMATS, in lower case and with their dot."""
    return {ending for ending, name in Image.registered_extensions().items() if name in FORMATS}


def decode(image: bytes | np.ndarray, size: int, fit: str = "crop", interpolation: str = "bilinear") -> np.ndarray:
    """Decode `image` fully and make it `size` × `size`; one that has this size already is passed through.

    Args:
        image: an encoded image file, or uint8 [H, W, 3].
        size: side length in pixels.
        fit: what becomes of other shapes. `crop`: the image is resized until its shorter side is `size`, and its
            longer side cut to that about the centre. `pad`: the whole image is resized until its longer side is
            `size`, and centred on mid grey. `squash`: each side is resized to `size`, whatever the other.
        interpolation: `bilinear` or `bicubic`, antialiased.

    Returns:
        uint8 [3, size, size], RGB.

    Raises:
        ValueError: if it is no image, is damaged, too large or of a refused kind.
    """
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else _open(image)
    if picture.size != (size, size):
        picture = FITS[fit](picture, size, FILTERS[interpolation])
    return np.asarray(picture).transpose(2, 0, 1)


def _crop(picture: Image.Image, size: int, resampling: Image.Resampling) -> Image.Image:
    """What torchvision's Resize(size) and CenterCrop(size) make of it, to the last bit."""
    short = min(picture.size)
    if max(picture.size) > LONGEST * short:
        picture = _cut(picture, *(min(side, LONGEST * short) for side in picture.size))
    resized = picture.resize([int(size * side / short) for side in picture.size], resampling)
    return _cut(resized, size, size)


def _cut(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of a picture, as torchvision's CenterCrop takes it."""
    left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def _pad(picture: Image.Image, size: int, resampling: Image.Resampling) -> Image.Image:
    scale = size / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    square = Image.new("RGB", (size, size), GROUND)
    square.paste(picture.resize((width, height), resampling), ((size - width) // 2, (size - height) // 2))
    return square


def _squash(picture: Image.Image, size: int, resampling: Image.Resampling) -> Image.Image:
    return picture.resize((size, size), resampling)


FITS = {"crop": _crop, "pad": _pad, "squash": _squash}


def _open(data: bytes) -> Image.Image:
    if not data:
        raise ValueError("the file is empty")
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError:
        _refuse_unread(data)
        raise ValueError("not an image, or of an unknown format") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        _refuse_unread(data)
        raise ValueError(f"damaged: {error}") from None
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(f"{picture.width} × {picture.height} is more than {MAX_PIXELS:,} pixels")
    try:
        load(picture, data)
        _turn_upright(picture)
        if picture.format in ("JPEG", "MPO"):
            require_whole(data)
    except Exception as error:
        raise ValueError(f"damaged: {error}") from None
    return _to_rgb(picture)


def _refuse_unread(data: bytes) -> None:
    """Name the format of a picture that is of none of FORMATS, if it is known."""
    if kind := next((name for name, magic in UNREAD.items() if magic.match(data)), None):
        raise ValueError(f"{kind} picture, a format that is not read: convert it to JPEG or PNG") from None


def _turn_upright(picture: Image.Image) -> None:
    """Turn a picture as its EXIF data want it; it stays as it is stored where these are damaged or make no sense."""
    try:
        ImageOps.exif_transpose(picture, in_place=True)
    except MemoryError:
        raise
    except Exception:  # whatever is wrong with them, the pixels are fine
        return


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture
    if picture.mode in ("I", "F"):
        raise ValueError(f"mode {picture.mode} (32 bits a pixel) has no agreed range: save it with 8 or 16 bits")
    if picture.mode.startswith("I;16"):
        eight_bits = np.asarray(picture).astype(np.uint32) * 255 // 65535
        return Image.fromarray(eight_bits.astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("LA") if picture.mode == "La" else picture  # which Pillow converts to nothing else
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")
