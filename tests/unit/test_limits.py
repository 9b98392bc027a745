"""What claims to be huge is refused before a decoder takes memory, and what is large takes less than 1 GiB."""

import io
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from pathlib import Path

from classifier.data import limits
from classifier.data.images import decode, open_header
from classifier.data.limits import Budget, memory_needed
from tests.conftest import ROOT
from tests.unit.test_images import chunk, encode, noise, png

import numpy as np
import pytest
from PIL import Image

# In a process of its own: VmHWM is the most memory that it ever had.
DECODE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from classifier.data.images import decode
content, threads = Path(sys.argv[1]).read_bytes(), int(sys.argv[2])
def attempt(_):
    try:
        return str(decode(content, 64).mean())
    except ValueError as error:
        return f"refused: {error}"
with ThreadPoolExecutor(threads) as pool:
    print(*set(pool.map(attempt, range(threads))), sep="\\n")
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def decoded_apart(folder: Path, content: bytes, threads: int = 1) -> tuple[str, int]:
    """What became of an image, decoded once by each thread, and the bytes that it took at the peak."""
    (folder / "image").write_bytes(content)
    command = [sys.executable, "-c", DECODE, str(folder / "image"), str(threads)]
    answer, peak = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return answer, int(peak) * 1024


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


def in_scans(picture: Image.Image, **options) -> int:
    content = encode(picture, "JPEG", subsampling=0, **options)
    return memory_needed(open_header(content), content) - len(content)


def test_a_jpeg_of_several_scans_counts_its_coefficients():
    picture = Image.fromarray(noise(100, 100))
    assert in_scans(picture) == 8 * 10_000
    assert in_scans(picture, progressive=True) == 10 * 10_000
    assert in_scans(picture.convert("CMYK"), progressive=True) == 12 * 10_000
    one = encode(picture, "JPEG")
    at = one.index(b"\xff\xda")
    apart = one[: at + 4] + b"\1" + one[at + 5 :]  # as if the first scan had one channel of three
    assert memory_needed(open_header(apart), apart) - len(apart) == 10 * 10_000


def test_a_strip_of_a_tiff_counts_as_it_is_decoded_as_a_whole():
    gray = Image.fromarray(noise(100, 100)).convert("RGBA")
    options = {"compression": "tiff_adobe_deflate"}
    for rows in (1, 100):
        content = encode(gray, "TIFF", tiffinfo={278: rows}, **options)
        assert memory_needed(open_header(content), content) - len(content) == (4 + 4) * 10_000


def test_a_file_that_is_large_itself_counts(monkeypatch):
    content = encode(Image.fromarray(noise(100, 100)), "BMP")
    monkeypatch.setattr(limits, "IMAGE", len(content) + 39_999)
    with pytest.raises(ValueError, match="to decode"):
        decode(content, 8)
    monkeypatch.setattr(limits, "IMAGE", len(content) + 40_000)
    assert decode(content, 8).shape == (3, 8, 8)


# Converted in strips, pixels are what they were.


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_strips_change_no_pixel(monkeypatch, mode):
    picture = Image.fromarray(noise(50, 40))
    picture.putalpha(Image.fromarray(noise(50, 40)[..., 0]))
    picture = (
        picture.convert("RGB").quantize(16) if mode == "P" else picture.convert("RGB" if mode == "CMYK" else "RGBA")
    )
    picture = picture if mode == "P" else picture.convert(mode)
    content = encode(picture, "TIFF" if mode == "CMYK" else "PNG", **({"transparency": 3} if mode == "P" else {}))
    whole = decode(content, 24)
    monkeypatch.setattr("classifier.data.images.STRIP", 130)
    assert np.array_equal(decode(content, 24), whole)


def test_a_column_is_squashed_without_making_it_wide(monkeypatch):
    column = np.zeros((30_000, 1, 3), np.uint8)
    column[15_000:] = 200
    monkeypatch.setattr("classifier.data.images.MAX_PIXELS", 1_000_000)
    resize, sizes = Image.Image.resize, []
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, size, *rest: sizes.append(size) or resize(self, size, *rest)
    )
    squashed = decode(column, 16, "squash")
    assert sizes == [(1, 16), (16, 16)]
    assert squashed.shape == (3, 16, 16)
    assert (squashed[:, :7] == 0).all()
    assert (squashed[:, 9:] == 200).all()


# Threads


def test_threads_share_a_budget_and_what_is_larger_goes_alone():
    budget, together, most = Budget(100), [0], []
    lock = threading.Lock()

    def work(needed: int) -> None:
        for _ in range(20):
            with budget.reserve(needed):
                with lock:
                    together[0] += needed
                    most.append((together[0], needed))
                time.sleep(0.0005)
                with lock:
                    together[0] -= needed

    threads = [threading.Thread(target=work, args=(needed,)) for needed in (10, 30, 60, 99, 150, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert len(most) == 120
    assert all(total <= 100 or total == needed == 150 for total, needed in most)
    assert budget.used == 0


def test_an_image_that_fails_gives_its_budget_back():
    cut = encode(Image.fromarray(noise(64, 64)))[:2000]
    for _ in range(3):
        with pytest.raises(ValueError, match="damaged"):
            decode(cut, 16)
    assert limits.MEMORY.used == 0


LARGE = {
    "png": (lambda: Image.new("RGBA", (10_000, 10_000), (9, 99, 9, 99)), "PNG", {"compress_level": 1}),
    "jpeg": (lambda: Image.new("RGB", (9400, 9400)), "JPEG", {"progressive": True, "subsampling": 0}),
    "webp": (lambda: Image.new("RGBA", (6000, 6000), (9, 99, 9, 99)), "WEBP", {"method": 0}),
    "avif": (lambda: Image.new("RGBA", (5600, 5600), (9, 99, 9, 99)), "AVIF", {"speed": 10, "subsampling": "4:4:4"}),
    "jpeg 2000": (lambda: Image.new("RGBA", (5600, 5600), (9, 99, 9, 99)), "JPEG2000", {}),
    "tiff": (lambda: Image.new("CMYK", (10_000, 10_000)), "TIFF", {"compression": "tiff_adobe_deflate"}),
}


@on_linux
@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_the_largest_images_take_less_than_a_gibibyte_also_in_four_threads(tmp_path, name):
    make, format, options = LARGE[name]
    content = encode(make(), format, **options)
    answer, peak = decoded_apart(tmp_path, content, threads=4)
    assert not answer.startswith("refused"), answer
    assert peak < 2**30


@on_linux
@pytest.mark.slow
def test_many_large_photographs_in_many_threads_stay_below_the_bound(tmp_path):
    answer, peak = decoded_apart(tmp_path, encode(Image.fromarray(noise(4000, 3000)), "JPEG"), threads=16)
    assert not answer.startswith("refused")
    assert peak < 1.25 * 2**30


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_png_of_the_limit_is_allowed_and_one_above_is_not():
    for side, allowed in ((10_000, True), (10_001, False)):
        content = png(struct.pack(">IIBBBBB", side, 10_000, 8, 6, 0, 0, 0), b"\0" * 100)
        if allowed:
            assert memory_needed(open_header(content), content) < limits.IMAGE
        else:
            with pytest.raises(ValueError, match="10001 × 10000 is more than 100,000,000 pixels"):
                open_header(content)


def test_a_buffer_of_bytes_is_not_copied():
    """BytesIO shares the bytes that it is given, so that a file counts once."""
    content = bytes(1000)
    assert io.BytesIO(content).getvalue() is content
