"""What decoding takes is known before it starts, and bounded: of one image, and of all threads together."""

import io
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from classifier.data import limits
from classifier.data.images import decode, open_header
from classifier.data.limits import Budget, memory_needed
from tests.conftest import ROOT
from tests.unit.test_images import encode, noise, png

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
