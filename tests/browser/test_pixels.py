"""pixels.js reads and resizes images as classifier/data/images.py does, to the last bit where decoding is exact."""

import base64
from pathlib import Path

from classifier.data.images import decode
from classifier.network.preprocessing import Preprocessing

import numpy as np
import pytest
from PIL import Image

from .samples import LOSSLESS, ROUNDED, encode

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "demo_page" / "pixels.js"
READ = """async ([image, size, fit, interpolation]) => {
    const bytes = Uint8Array.from(atob(image), (character) => character.charCodeAt(0));
    const square = fitToSquare(await decodeFile(new File([bytes], "image")), { size, fit, interpolation });
    return btoa(Array.from(square, (value) => String.fromCharCode(value)).join(""));
}"""


FITS = ["crop", "pad", "squash"]
SHAPES = [(700, 30), (30, 700), (32, 32), (600, 600), (400, 300), (60, 900), (900, 60)]
THIN = [(1000, 11), (11, 1000), (500, 1), (1, 999)]  # so long that the ends are cut off before they are resized


@pytest.fixture
def fit_in_browser(page):
    """A function: the square that the browser makes of an image file, uint8 [3, size, size]."""
    page.add_script_tag(path=SCRIPT)

    def call(data: bytes, size: int, fit: str = "crop", interpolation: str = "bilinear") -> np.ndarray:
        pixels = page.evaluate(READ, [base64.b64encode(data).decode(), size, fit, interpolation])
        return np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(size, size, 3).transpose(2, 0, 1)

    return call


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("size", "interpolation"), [(16, "bilinear"), (224, "bilinear"), (31, "bicubic")])
def test_resizing_is_the_same_to_the_last_bit_whatever_the_shape(fit_in_browser, size, fit, interpolation):
    rng = np.random.default_rng(size)
    for width, height in [*rng.integers(1, 400, (12, 2)).tolist(), *SHAPES, *THIN]:
        data = encode(Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)))
        ours, theirs = fit_in_browser(data, size, fit, interpolation), decode(data, size, fit, interpolation)
        assert np.array_equal(ours, theirs), f"{width} × {height} to {size}"


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("name", LOSSLESS)
def test_exact_formats_are_read_to_the_last_bit(fit_in_browser, name, fit):
    data = LOSSLESS[name]()
    assert np.array_equal(fit_in_browser(data, 32, fit), decode(data, 32, fit))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("name", ROUNDED)
def test_other_formats_are_read_within_rounding(fit_in_browser, name, fit):
    data = ROUNDED[name]()
    assert abs(fit_in_browser(data, 32, fit).astype(int) - decode(data, 32, fit)).max() <= 2


@pytest.mark.parametrize(("size", "crop"), [(16, 16), (256, 224), (16, 13), (15, 12), (33, 28)])
def test_the_centre_is_the_one_that_the_network_sees(page, size, crop):
    page.add_script_tag(path=SCRIPT)
    square = np.random.default_rng(size).integers(0, 256, (size, size, 3), dtype=np.uint8)
    cut = "([square, size, crop]) => [...cutCentre(Uint8Array.from(square), size, crop)]"
    centre = page.evaluate(cut, [square.ravel().tolist(), size, crop])
    seen = Preprocessing(size, "crop", crop, "bilinear", (0.5,) * 3, (0.5,) * 3).centre(square.transpose(2, 0, 1))
    assert centre == seen.transpose(1, 2, 0).ravel().tolist()
