"""Decoding: unusual images are converted as documented, the rest refused by name."""

import io
import struct
import tracemalloc
import zlib

from classifier.data.images import decode

import numpy as np
import pytest
from PIL import Image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encode(picture: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(header: bytes, data: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def test_an_image_of_the_right_size_passes_through_bit_for_bit():
    pixels = noise(32, 32)
    assert np.array_equal(decode(encode(Image.fromarray(pixels)), 32), pixels.transpose(2, 0, 1))


def test_an_array_of_the_right_size_passes_through_bit_for_bit():
    pixels = noise(32, 32)
    decoded = decode(pixels, 32)
    assert np.array_equal(decoded, pixels.transpose(2, 0, 1))
    assert decoded.dtype == np.uint8


@pytest.mark.parametrize(("width", "height"), [(64, 32), (32, 64), (33, 31), (8, 8), (100, 1)])
def test_every_shape_is_fitted_to_the_size(width, height):
    assert decode(encode(Image.fromarray(noise(width, height))), 16).shape == (3, 16, 16)


def test_shrinking_averages_and_does_not_skip_pixels():
    checkerboard = np.indices((64, 64)).sum(0) % 2 * 255
    pixels = np.repeat(checkerboard[..., None], 3, 2).astype(np.uint8)
    assert abs(decode(encode(Image.fromarray(pixels)), 8).astype(int) - 127).max() <= 3


@pytest.mark.parametrize("size", [16, 8])
def test_grayscale_gets_three_equal_channels(size):
    decoded = decode(encode(Image.new("L", (16, 16), 77)), size)
    assert decoded.shape == (3, size, size)
    assert (decoded == 77).all()


def test_black_and_white_images_are_read():
    assert (decode(encode(Image.new("1", (8, 8), 1)), 8) == 255).all()


def test_palette_images_get_the_colours_of_their_palette():
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([*GREEN, *BLUE])
    assert np.array_equal(decode(encode(picture), 8)[:, 0, 0], BLUE)


def test_cmyk_jpegs_become_rgb():
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red, green, blue = decode(encode(picture, "JPEG"), 16)[:, 8, 8].astype(int)
    assert red > 230
    assert max(green, blue) < 40


@pytest.mark.parametrize(
    ("alpha", "expected"), [(0, (255, 255, 255)), (255, (200, 0, 0)), (128, (227, 127, 127))], ids=["0", "255", "128"]
)
def test_transparency_is_laid_over_white(alpha, expected):
    decoded = decode(encode(Image.new("RGBA", (8, 8), (200, 0, 0, alpha))), 8)
    assert abs(decoded[:, 4, 4].astype(int) - expected).max() <= 1


def test_transparent_gray_is_laid_over_white():
    assert (decode(encode(Image.new("LA", (8, 8), (10, 0))), 8) == 255).all()


def test_the_transparent_colour_of_a_palette_is_laid_over_white():
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([*GREEN, *BLUE])
    assert (decode(encode(picture, transparency=0), 8) == 255).all()


@pytest.mark.parametrize(("level", "expected"), [(0, 0), (257, 1), (32896, 128), (65535, 255)])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_gray_is_scaled_to_eight(level, expected, format):
    picture = Image.fromarray(np.full((8, 8), level, dtype=np.uint16))
    assert (decode(encode(picture, format), 8) == expected).all()


def test_sixteen_bit_colour_is_scaled_to_eight():
    rows = b"".join(b"\0" + struct.pack(">3H", 0x8080, 0xFFFF, 0) * 8 for _ in range(8))
    assert np.array_equal(decode(png(struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0), rows), 8)[:, 0, 0], [128, 255, 0])


@pytest.mark.parametrize("mode", ["I", "F"])
def test_thirty_two_bit_images_are_refused_with_the_remedy(mode):
    with pytest.raises(ValueError, match=f"mode {mode}.*save it with 8 or 16 bits"):
        decode(encode(Image.new(mode, (8, 8), 1), "TIFF"), 8)


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (2, (0, 1)), (3, (1, 1)), (6, (0, 1)), (8, (1, 0))])
def test_the_exif_orientation_is_applied(orientation, corner):
    picture = Image.new("RGB", (16, 16), BLUE)
    picture.paste(RED, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encode(picture, "PNG", exif=exif), 16)
    row, column = (8 * c + 4 for c in corner)
    assert np.array_equal(decoded[:, row, column], RED)
    assert (decoded[0] == 255).sum() == 64


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    animation = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(decode(animation, 8)[:, 0, 0], RED)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF|Truncated File")
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_an_image_cut_off_anywhere_is_refused_or_read_but_never_crashes(format):
    whole = encode(Image.fromarray(noise(8, 8)), format)
    for length in range(len(whole)):
        try:
            assert decode(whole[:length], 8).shape == (3, 8, 8)
        except ValueError:
            pass
        except Exception as error:
            pytest.fail(f"{format} cut off after {length} of {len(whole)} bytes: {error!r}")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP"])
def test_half_an_image_is_refused_as_damaged(format):
    whole = encode(Image.fromarray(noise(64, 64)), format)
    with pytest.raises(ValueError, match="damaged"):
        decode(whole[: len(whole) // 2], 32)


def test_an_empty_file_is_refused():
    with pytest.raises(ValueError, match="empty"):
        decode(b"", 8)


@pytest.mark.parametrize("data", [b"hello, I am no image\n", b"\0" * 100, b"<html></html>"])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(ValueError, match="not an image"):
        decode(data, 8)


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (11_000, 10_000)])
def test_an_image_that_claims_too_many_pixels_is_refused_before_it_takes_memory(width, height):
    bomb = png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"\0" * 100)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="100,000,000 pixels") as error:
            decode(bomb, 32)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert str(width) in str(error.value).replace(",", ""), "the message says how large the image is"
