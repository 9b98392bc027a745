"""pixels.js reads and resizes images as classifier/data/images.py does, to the last bit where decoding is exact."""

import base64
from pathlib import Path

from classifier.data.images import decode

import numpy as np
import pytest
from PIL import Image

from .samples import LOSSLESS, ROUNDED, encode

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "demo_page" / "pixels.js"
READ = """async ([image, size]) => {
    const bytes = Uint8Array.from(atob(image), (character) => character.charCodeAt(0));
    const square = fitToSquare(await decodeFile(new File([bytes], "image")), size);
    return btoa(Array.from(square, (value) => String.fromCharCode(value)).join(""));
}"""


@pytest.fixture
def fit(page):
    """A function: the square that the browser makes of an image file, uint8 [3, size, size]."""
    page.add_script_tag(path=SCRIPT)

    def call(data: bytes, size: int) -> np.ndarray:
        pixels = page.evaluate(READ, [base64.b64encode(data).decode(), size])
        return np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(size, size, 3).transpose(2, 0, 1)

    return call


@pytest.mark.parametrize("size", [16, 32, 224])
def test_resizing_is_the_same_to_the_last_bit_whatever_the_shape(fit, size):
    rng = np.random.default_rng(size)
    for width, height in [*rng.integers(1, 400, (30, 2)), (700, 30), (30, 700), (size, size), (600, 600)]:
        data = encode(Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)))
        assert np.array_equal(fit(data, size), decode(data, size)), f"{width} × {height} to {size}"


@pytest.mark.parametrize("name", LOSSLESS)
def test_exact_formats_are_read_to_the_last_bit(fit, name):
    data = LOSSLESS[name]()
    assert np.array_equal(fit(data, 32), decode(data, 32))


@pytest.mark.parametrize("name", ROUNDED)
def test_other_formats_are_read_within_rounding(fit, name):
    data = ROUNDED[name]()
    assert abs(fit(data, 32).astype(int) - decode(data, 32)).max() <= 2
