"""Decoding: unusual images are converted as documented, the rest refused by name."""

import io
import re
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


# Transparency that is one colour of a PNG, compared as it is stored; damage; metadata


def declared(depth: int, colour: int, row: bytes, transparent: tuple[int, ...]) -> bytes:
    """A PNG of 8 × 8 pixels, each row as given, with the chunk tRNS."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, depth, colour, 0, 0, 0))
    chunks = chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunks + chunk(b"IDAT", zlib.compress((b"\0" + row) * 8)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (declared(8, 2, bytes([1, 2, 3, 1, 2, 4] * 4), (1, 2, 3)), [(255, 255, 255), (1, 2, 4)] * 4),
        (declared(16, 2, struct.pack(">6H", 1, 2, 3, 1, 2, 4) * 4, (1, 2, 3)), [(255, 255, 255), (0, 0, 0)] * 4),
        (declared(16, 0, struct.pack(">8H", 0, 257, 258, 259, 514, 3, 4, 65535), (257,)), [0, 255, 1, 1, 2, 0, 0, 255]),
        (declared(8, 0, bytes(range(8)), (3,)), [0, 1, 2, 255, 4, 5, 6, 7]),
        (declared(4, 0, bytes([0x0F, 0x12, 0x34, 0xFF]), (15,)), [0, 255, 17, 34, 51, 68, 255, 255]),
        (declared(4, 0, bytes([0x0F, 0x12, 0x34, 0x56]), (1,)), [0, 255, 255, 34, 51, 68, 85, 102]),
        (declared(2, 0, bytes([0b00011011, 0]), (1,)), [0, 255, 170, 255, 0, 0, 0, 0]),
        (declared(1, 0, bytes([0b00001111]), (0,)), [255] * 8),
        (declared(1, 0, bytes([0b00001111]), (1,)), [0] * 4 + [255] * 4),
    ],
    ids=["RGB", "16-bit RGB", "16-bit gray", "gray", "4-bit, white", "4-bit", "2-bit", "black", "white"],
)
def test_the_colour_that_a_png_declares_transparent_is_white(data, expected):
    expected = np.array([(level,) * 3 if isinstance(level, int) else level for level in expected])
    assert np.array_equal(decode(data, 8)[:, 3].T, expected)


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        *(("RGBA", format) for format in ("PNG", "WEBP", "AVIF", "TIFF", "ICO", "TGA", "JPEG2000")),
        *(("LA", format) for format in ("PNG", "WEBP", "TIFF", "TGA", "JPEG2000")),
    ],
)
def test_an_alpha_channel_is_laid_over_white_in_every_format(mode, format):
    colour, expected = ((200, 0, 0, 128), (227, 127, 127)) if mode == "RGBA" else ((20, 128), (137, 137, 137))
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}, "ICO": {"sizes": [(16, 16)]}}.get(format, {})
    data = encode(Image.new(mode, (16, 16), colour), format, **options)
    assert abs(decode(data, 16)[:, 4, 4].astype(int) - expected).max() <= 2


def tiff(samples: int, photometric: int, extra: int, pixel: bytes, bits: int = 8) -> bytes:
    """A TIFF of 8 × 8 equal pixels, the last sample of which is alpha: 1 associated (premultiplied), 2 not."""
    pixels, sizes = pixel * 64, struct.pack(f"<{samples}H", *[bits] * samples)
    place = 8 + 2 + 10 * 12 + 4
    tags = [(256, 3, 1, 8), (257, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, photometric), (273, 4, 1, place + len(sizes))]
    tags += [(258, 3, samples, place if samples > 2 else int.from_bytes(sizes, "little")), (277, 3, 1, samples)]
    tags += [(278, 3, 1, 8), (279, 4, 1, len(pixels)), (338, 3, 1, extra)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, 10) + entries + bytes(4) + sizes + pixels


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (tiff(4, 2, 2, bytes([200, 0, 0, 128])), (227, 127, 127)),
        (tiff(4, 2, 1, bytes([100, 0, 0, 128])), (227, 127, 127)),
        (tiff(4, 2, 0, bytes([200, 0, 0, 128])), (200, 0, 0)),
        (tiff(2, 1, 2, bytes([20, 128])), (137, 137, 137)),
        (tiff(2, 1, 1, bytes([10, 128])), (137, 137, 137)),
        (tiff(4, 2, 2, struct.pack("<4H", 51400, 0, 0, 32896), 16), (227, 127, 127)),
        (tiff(4, 2, 1, struct.pack("<4H", 25700, 0, 0, 32896), 16), (227, 127, 127)),
    ],
    ids=["RGB", "RGB premultiplied", "no alpha", "gray", "gray premultiplied", "16-bit", "16-bit premultiplied"],
)
def test_the_alpha_of_a_tiff_is_laid_over_white(data, expected):
    assert abs(decode(data, 8)[:, 4, 4].astype(int) - expected).max() <= 2


JPEGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts by rows": {"restart_marker_rows": 1},
    "restarts by blocks": {"restart_marker_blocks": 3},
    "4:4:4": {"subsampling": 0},
    "EXIF": {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"},
}


def jpeg(kind: str, mode: str = "RGB") -> bytes:
    return encode(Image.fromarray(noise(120, 90)).resize((240, 180)).convert(mode), "JPEG", **JPEGS[kind])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_whole_jpegs_are_read_also_with_something_behind_them(kind, mode):
    for data in (jpeg(kind, mode), jpeg(kind, mode) + bytes(100), jpeg(kind, mode) + jpeg("baseline")):
        assert decode(data, 16).shape == (3, 16, 16)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_without_its_end_is_refused(kind):
    with pytest.raises(ValueError, match="damaged"):
        decode(jpeg(kind)[:-2], 16)


@pytest.mark.parametrize("kind", ["restarts by rows", "restarts by blocks"])
def test_a_jpeg_with_restart_markers_that_lacks_a_part_is_refused(kind):
    data = jpeg(kind)
    middle = len(data) // 2
    restart = re.search(rb"\xff[\xd0-\xd7]", data[middle:]).start() + middle
    other = 0xD0 + (data[restart + 1] - 0xD0 + 3) % 8
    for damaged in (
        data[:middle] + b"\xff\xd9",
        data[:restart] + data[restart + 2 :],
        data[: restart + 1] + bytes([other]) + data[restart + 2 :],
    ):
        with pytest.raises(ValueError, match=r"damaged: .*restart markers"):
            decode(damaged, 16)


def test_a_jpeg_with_a_marker_that_has_no_place_in_it_is_refused():
    data = jpeg("baseline")
    middle = len(data) // 2
    with pytest.raises(ValueError, match="damaged"):
        decode(data[:middle] + b"\xff\x37\0\4ab" + data[middle + 6 :], 16)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03",
        *(
            b"Exif\0\0" + struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 0x112, kind, count, value) + bytes(8)
            for kind, count, value in [(3, 1, 0), (3, 1, 9), (2, 4, 6), (5, 1, 8), (12, 1, 8), (99, 1, 6)]
        ),
    ],
)
def test_an_image_whose_exif_data_are_odd_is_read_as_it_is_stored(format, exif):
    picture = Image.new("RGB", (16, 16), BLUE)
    picture.paste(RED, (0, 0, 8, 8))
    options = {"lossless": True} if format == "WEBP" else {"quality": 95, "subsampling": 0} if format == "JPEG" else {}
    decoded = decode(encode(picture, format, exif=exif, **options), 16)
    assert abs(decoded[:, 4, 4].astype(int) - RED).max() < 40


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("HEIC", b"\0\0\0\x18ftypheic" + bytes(100)),
        ("HEIC", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(100)),
        ("JPEG XL", b"\xff\x0a" + bytes(100)),
        ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100)),
        ("Photoshop", b"8BPS\0\1" + bytes(100)),
        ("SVG", b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("PDF", b"%PDF-1.4\n"),
    ],
)
def test_a_picture_of_a_format_that_is_not_read_is_named_whatever_its_ending(kind, data):
    with pytest.raises(ValueError, match=f"{kind} picture, a format that is not read: convert it to JPEG or PNG"):
        decode(data, 8)
