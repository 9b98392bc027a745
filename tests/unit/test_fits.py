"""How images of other shapes become squares: `crop`, to the bit as torchvision's evaluation, `pad` and `squash`."""

import io

from classifier.data.images import decode
from classifier.network.network import Normalize
from classifier.network.preprocessing import Preprocessing
from tests.unit.test_images import BLUE, RED, encode, noise

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification


def test_a_wide_image_is_cut_about_its_centre_and_not_squeezed():
    picture = Image.new("RGB", (48, 16), RED)
    picture.paste(Image.fromarray(noise(16, 16)), (16, 0))
    assert np.array_equal(decode(encode(picture), 16), noise(16, 16).transpose(2, 0, 1))


def test_a_tall_image_is_cut_about_its_centre_and_not_squeezed():
    picture = Image.new("RGB", (16, 48), RED)
    picture.paste(Image.fromarray(noise(16, 16)), (0, 16))
    assert np.array_equal(decode(encode(picture), 16), noise(16, 16).transpose(2, 0, 1))


def test_padding_shows_the_whole_image_centred_on_grey():
    decoded = decode(encode(Image.fromarray(noise(16, 8))), 16, fit="pad")
    assert np.array_equal(decoded[:, 4:12], noise(16, 8).transpose(2, 0, 1))
    assert (decoded[:, :4] == 128).all()
    assert (decoded[:, 12:] == 128).all()


def test_padding_keeps_the_shape_of_what_it_resizes():
    decoded = decode(np.full((40, 10, 3), RED, np.uint8), 16, fit="pad")
    assert (decoded[0] == 255).all(0).nonzero()[0].tolist() == [6, 7, 8, 9]
    assert decode(np.zeros((1, 100, 3), np.uint8), 16, fit="pad")[0].min() == 0, "of a thin line, something remains"


@pytest.mark.parametrize(("name", "resampling"), [("bilinear", 2), ("bicubic", 3)])
def test_squashing_resizes_all_of_the_image_as_pillow_does(name, resampling):
    picture = Image.fromarray(noise(40, 24))
    expected = np.asarray(picture.resize((16, 16), resampling)).transpose(2, 0, 1)
    assert np.array_equal(decode(encode(picture), 16, "squash", name), expected)


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_a_square_image_is_the_same_however_it_is_fitted(fit):
    assert np.array_equal(decode(noise(24, 24), 16, fit), decode(noise(24, 24), 16))
    assert np.array_equal(decode(noise(16, 16), 16, fit), noise(16, 16).transpose(2, 0, 1))


def photograph(width: int, height: int, **options) -> bytes:
    """A JPEG of smooth colours with a bright disc and dark stripes on them, whose edges tell if the grid is shifted."""
    colours = Image.fromarray(noise(9, 7)).resize((width, height), Image.Resampling.BICUBIC)
    y, x = np.mgrid[0:height, 0:width] / min(width, height)
    disc = (x - 0.55) ** 2 + (y - 0.45) ** 2 < 0.1
    stripes = (np.sin(60 * x + 25 * y) > 0.6) & ~disc
    pixels = np.where(disc[..., None], 230, np.where(stripes[..., None], 20, np.asarray(colours)))
    return encode(Image.fromarray(pixels.astype(np.uint8)), "JPEG", quality=90, **options)


def on_its_side() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


PHOTOGRAPHS = {
    "4:3": lambda: photograph(400, 300),
    "3:4, upright": lambda: photograph(480, 640),
    "odd margin": lambda: photograph(333, 271),
    "odd margin, upright": lambda: photograph(271, 333),
    "panorama": lambda: photograph(1001, 334),
    "tall, which Pillow resizes along its height first": lambda: photograph(260, 1499),
    "smaller than the network's input": lambda: photograph(101, 150),
    "square": lambda: photograph(512, 512),
    "on its side": lambda: photograph(421, 317, exif=on_its_side()),
}


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_network_sees_what_torchvisions_evaluation_preset_makes(name, interpolation):
    data = PHOTOGRAPHS[name]()
    preprocessing = Preprocessing(256, "crop", 224, interpolation, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    seen = preprocessing.centre(decode(data, 256, "crop", interpolation))
    ours = Normalize(preprocessing)(torch.from_numpy(seen.copy())[None])[0]
    preset = ImageClassification(crop_size=224, resize_size=256, interpolation=InterpolationMode(interpolation))
    theirs = preset(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    levels = (ours - theirs).abs() * 0.225 * 255  # what is left comes from the order of normalising
    assert levels.mean() < 0.001
    assert levels.max() < 0.01


@pytest.mark.parametrize(("width", "height"), [(100_000, 10), (7, 70_000), (1, 3_000_000)])
def test_of_a_thin_line_the_middle_is_seen_without_enlarging_the_rest(width, height, monkeypatch):
    pixels = np.full((height, width, 3), RED, np.uint8)
    middle = [slice(max(0, side // 2 - 16), side // 2 + 16) for side in (height, width)]
    pixels[*middle] = BLUE
    resize, sizes = Image.Image.resize, []

    def spy(picture, size, *arguments):
        sizes.append(size)
        assert max(size) <= 16 * 224
        return resize(picture, size, *arguments)

    monkeypatch.setattr(Image.Image, "resize", spy)
    assert (decode(pixels, 224).transpose(1, 2, 0) == BLUE).all()
    assert len(sizes) == 1
