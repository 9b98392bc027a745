"""Encoded images to uint8 arrays of one size: the only place that decodes, for every stage and script.

What is done with unusual images: EXIF orientation is applied; palette, grayscale and CMYK images are
converted to RGB; transparency is laid over white; 16-bit grayscale is scaled to 8 bits; the first
frame of an animation counts. 32-bit and floating-point images have no agreed range and are refused.
"""

import io
import re
import warnings
from collections.abc import Callable

from classifier.data.jpeg import require_whole
from classifier.data.limits import MAX_PIXELS, MEMORY, memory_needed, require_small_icon
from classifier.data.transparency import load
from classifier.errors import one_line

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
# Pillow asks for it wherever a file says how large something in it is, before it takes memory: the image, a tile, a
# picture in an icon, a frame. It refuses twice as much, and only warns of more than this.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}  # Pillow's are antialiased
# About the mean of photographs, so about zero once normalised, which is also what convolutions pad with. Black or
# white would be the strongest edges of most pictures.
GROUND = (128, 128, 128)
# times as long as wide: of a longer picture the ends, which are cut off in any case, would take memory without bound.
LONGEST = 16
STRIP = 1_000_000  # pixels converted at a time


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
    if isinstance(image, np.ndarray):
        return _fit(Image.fromarray(image), size, fit, interpolation)
    picture = open_header(image)
    with MEMORY.reserve(memory_needed(picture, image)):
        loaded = _load(picture, image)
        del picture  # what is reserved is also freed before others get it
        pixels = _fit(loaded, size, fit, interpolation)
        del loaded
    return pixels


def _fit(picture: Image.Image, size: int, fit: str, interpolation: str) -> np.ndarray:
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
    width, height = picture.size
    if 4 * size * height > MAX_PIXELS:  # Pillow changes the width first, and would make a column many times as wide
        picture = picture.resize((width, size), resampling)
    return picture.resize((size, size), resampling)


FITS = {"crop": _crop, "pad": _pad, "squash": _squash}


def open_header(data: bytes) -> Image.Image:
    """An encoded image of which only the header is read: its format, mode and sides.

    Raises:
        ValueError: if it is no image, is damaged, or is or would be too large.
    """
    if not data:
        raise ValueError("the file is empty")
    require_small_icon(data)
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError:
        _refuse_unread(data)
        raise ValueError("not an image, or of an unknown format") from None
    except Image.DecompressionBombError:
        raise ValueError(f"{_claimed(data)} is more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        _refuse_unread(data)
        raise ValueError(f"damaged: {one_line(error)}") from None
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(f"{picture.width} × {picture.height} is more than {MAX_PIXELS:,} pixels")
    return picture


def _claimed(data: bytes) -> str:
    """The sides of an image that Pillow would not open for them, as its header has them."""
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        try:
            if not accept or accept(data[:16]) is True:
                width, height = factory(io.BytesIO(data), "").size
                return f"{width} × {height}"
        except Exception:  # of another format, or refused here too
            continue
    return "its size"


def _load(picture: Image.Image, data: bytes) -> Image.Image:
    """Decode a picture whose header was read: upright, and RGB."""
    try:
        load(picture, data)
        _turn_upright(picture)
        if picture.format in ("JPEG", "MPO"):
            require_whole(data)
    except Exception as error:
        raise ValueError(f"damaged: {one_line(error)}") from None
    return _in_strips(picture, _to_rgb)


def _in_strips(picture: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """`convert` of a picture, which works on each pixel by itself; strip by strip, where it takes several copies."""
    width, height = picture.size
    if width * height <= STRIP or (picture.mode == "RGB" and not picture.has_transparency_data):
        return convert(picture)
    whole, rows = Image.new("RGB", picture.size), max(1, STRIP // width)
    for top in range(0, height, rows):
        whole.paste(convert(picture.crop((0, top, width, min(height, top + rows)))), (0, top))
    return whole


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
