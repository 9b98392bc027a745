"""Small files that claim much, of every format and container: refused before a decoder takes memory."""

import struct
import subprocess
import sys
import tracemalloc
import zlib

from classifier.data.images import decode
from tests.conftest import ROOT
from tests.unit.test_images import chunk, encode, noise

import pytest
from PIL import Image

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def icon(picture: bytes, *others: bytes) -> bytes:
    """An .ico whose directory says 16 × 16 of each of its pictures."""
    pictures = [picture, *others]
    start, directory = 6 + 16 * len(pictures), b""
    for each in pictures:
        directory += struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(each), start)
        start += len(each)
    return struct.pack("<HHH", 0, 1, len(pictures)) + directory + b"".join(pictures)


def claimed_png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def bitmap(width: int, height: int) -> bytes:
    return struct.pack("<IiiHHIIiiII", 40, width, height, 1, 32, 0, 0, 0, 0, 0, 0) + b"\0" * 64


def tiff(**tags: int) -> bytes:
    """A gray TIFF of 16 × 16 pixels with `tags` in the place of the usual ones."""
    pixels = zlib.compress(b"\0" * 1000)
    usual = {"t256": 16, "t257": 16, "t258": 8, "t259": 8, "t262": 1, "t277": 1}
    entries = sorted((int(name[1:]), value) for name, value in (usual | tags).items())
    start = 8 + 2 + 12 * len(entries) + 4
    entries = [(tag, start if tag in (273, 324) else value) for tag, value in entries]
    ifd = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + ifd + b"\0" * 4 + pixels


def webp(width: int, height: int) -> bytes:
    """An extended WebP, whose canvas is as large as it says."""
    frame = encode(Image.new("RGB", (16, 16)), "WEBP")[12:]
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0" * 4 + sides + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif(width: int, height: int) -> bytes:
    """A GIF of 16 × 16 pixels whose first frame is as large as it says."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\0"
    return b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + b"\0" * 6 + frame + b";"


BOMBS = {
    "icon of 30000 pixels": icon(claimed_png(30_000, 30_000)),
    "icon of 1100 pixels": icon(claimed_png(2100, 16)),
    "second picture of an icon": icon(claimed_png(16, 16), claimed_png(16, 30_000)),
    "icon of a bitmap": icon(bitmap(20_000, 40_000)),
    "icon of a bitmap upside down": icon(bitmap(16, -(2**31))),
    "png": claimed_png(2**31 - 1, 2**31 - 1),
    "webp": webp(16_383, 16_383),
    "webp of 2**24": webp(2**24, 2**24),
    "webp below 100 million pixels": webp(9000, 9000),
    "gif": gif(65_535, 65_535),
    "tile of a tiff": tiff(t322=32_768, t323=32_768, t324=0, t325=20),
    "wide tile of a tiff": tiff(t322=2**30, t323=16, t324=0, t325=20),
    "tiff": tiff(t256=100_000, t257=100_000, t273=0, t278=100_000, t279=20),
    "ppm": b"P6 100000 100000 255\n" + b"\0" * 100,
    "plain ppm": b"P3 9000 9000 255\n" + b"0 " * 100,
    "bmp": b"BM" + struct.pack("<IHHI", 1000, 0, 0, 54) + bitmap(60_000, 60_000),
    "tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 65_535, 65_535, 24, 0) + b"\xff" * 100,
    "jpeg 2000": encode(Image.new("RGB", (16, 16)), "JPEG2000").replace(
        b"ihdr" + struct.pack(">II", 16, 16), b"ihdr" + struct.pack(">II", 9000, 9000)
    ),
}


@on_linux
def test_bombs_are_refused_before_they_take_memory(tmp_path):
    """All in one process: of them all, the most memory."""
    for i, content in enumerate(BOMBS.values()):
        (tmp_path / f"{i:02}").write_bytes(content)
    code = (
        "import sys; from pathlib import Path; from classifier.data.images import decode\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try: print('decoded', decode(path.read_bytes(), 64).shape)\n"
        "    except ValueError as error: print('refused:', error)\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    *answers, peak = done.stdout.splitlines()
    decoded = [name for name, answer in zip(BOMBS, answers, strict=True) if not answer.startswith("refused: ")]
    assert decoded == []
    assert int(peak) * 1024 < 150_000_000
    assert done.stderr == "", "no warnings"


@pytest.mark.parametrize("name", [name for name in BOMBS if "icon" in name])
def test_an_icon_says_what_it_holds(name):
    with pytest.raises(ValueError, match=r"^an icon that holds -?\d+ × -?\d+ pixels, more than 1024 a side$"):
        decode(BOMBS[name], 16)


@pytest.mark.parametrize("name", ["webp", "webp of 2**24"])
def test_what_pillow_itself_would_take_memory_for_is_refused_by_it(name):
    with pytest.raises(ValueError, match=r"is more than 100,000,000 pixels$"):
        decode(BOMBS[name], 16)


@pytest.mark.parametrize("name", ["plain ppm", "jpeg 2000"])
def test_what_takes_many_times_its_size_to_decode_is_refused_with_the_remedy(name):
    with pytest.raises(ValueError, match=r"^9000 × 9000 as (PPM|JPEG2000) would take [\d,]+ MB to decode, .* PNG$"):
        decode(BOMBS[name], 16)


@pytest.mark.filterwarnings("ignore:Image was not the expected size")
@pytest.mark.parametrize("side", [16, 256, 512, 1024])
def test_usual_icons_are_read(side):
    picture = Image.fromarray(noise(side, side))
    whole = icon(encode(picture))
    assert decode(whole, 16).shape == (3, 16, 16)
    saved = encode(picture, "ICO", sizes=[(min(side, 256), min(side, 256))])
    assert decode(saved, 16).shape == (3, 16, 16)


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt"])
def test_what_stands_beside_the_pixels_is_not_inflated_without_bound(kind):
    bomb = zlib.compress(b"\0" * 50_000_000)
    content = encode(Image.new("RGB", (8, 8)))
    content = content[:33] + chunk(kind, b"a\0\0" + bomb) + content[33:]
    tracemalloc.start()
    try:
        decode(content, 8)
    except ValueError as error:
        assert "damaged" in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 20_000_000
