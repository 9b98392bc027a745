"""Each batched operation, with another parameter for each image, against torchvision's on one image."""

from classifier.data.augment import operations
from classifier.data.augment.autoaugment import apply

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as TF

SIZE = 24
LEVEL = 1 / 255


@pytest.fixture
def photos() -> Tensor:
    """8-bit images as smooth as photographs, of little and of much contrast; one is of a single colour."""
    coarse = torch.rand(12, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    smooth = F.interpolate(coarse, (SIZE, SIZE), mode="bicubic").clamp(0, 1)
    contrast = torch.linspace(0.3, 1.5, 12).view(-1, 1, 1, 1)
    images = ((smooth - 0.5) * contrast + 0.5).clamp(0, 1)
    images[3] = torch.tensor([0.2, 0.6, 0.1]).view(3, 1, 1)
    return images.mul(255).round().to(torch.uint8)


def spread(low: float, high: float) -> Tensor:
    return torch.linspace(low, high, 12)


def difference(ours, theirs, photos: Tensor, parameters: Tensor) -> Tensor:
    """By how many of 255 levels our batch differs from torchvision's 8-bit images, at each pixel."""
    expected = torch.stack([theirs(image, value.item()) for image, value in zip(photos, parameters, strict=True)])
    return (ours(photos / 255, parameters) * 255 - expected).abs()


# torchvision rounds down where a result is no whole level, and contrast also the gray values that it averages.
@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high", "levels"),
    [
        (operations.adjust_brightness, TF.adjust_brightness, 0, 1.99, 1),
        (operations.adjust_saturation, TF.adjust_saturation, 0, 1.99, 2),
        (operations.adjust_contrast, TF.adjust_contrast, 0, 1.99, 2),
        (operations.adjust_sharpness, TF.adjust_sharpness, 0, 1.99, 1.5),
        (lambda x, n: operations.posterize(x, n.round()), lambda image, n: TF.posterize(image, round(n)), 1, 8, 0.01),
        (operations.solarize, lambda image, share: TF.solarize(image, 255 * share), 0, 1, 0.01),
        (lambda x, _: operations.autocontrast(x), lambda image, _: TF.autocontrast(image), 0, 0, 1),
        (lambda x, _: operations.equalize(x), lambda image, _: TF.equalize(image), 0, 0, 0.01),
        (lambda x, _: operations.invert(x), lambda image, _: TF.invert(image), 0, 0, 0.01),
    ],
)
def test_a_change_of_colours_is_torchvisions(photos, ours, theirs, low, high, levels):
    assert difference(ours, theirs, photos, spread(low, high)).max() <= levels


@pytest.mark.parametrize("levels", [2, 3, 200])
def test_equalize_copes_with_few_and_many_levels(levels):
    few = (torch.randint(levels, (6, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(1)) + 20).to(torch.uint8)
    assert torch.equal((operations.equalize(few / 255) * 255).round(), TF.equalize(few).float())


def test_hue_turns_as_torchvisions(photos):
    images, shifts = photos / 255, spread(-0.5, 0.5)
    expected = torch.stack([TF.adjust_hue(x, s.item()) for x, s in zip(images, shifts, strict=True)])
    assert torch.allclose(operations.adjust_hue(images, shifts), expected, atol=1e-5)


def test_hue_copes_with_gray_black_and_pure_colours():
    colours = torch.tensor([[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    images = colours.view(-1, 3, 1, 1).expand(-1, -1, 2, 2)
    expected = TF.adjust_hue(images, 0.25)
    assert torch.allclose(operations.adjust_hue(images, torch.full((7,), 0.25)), expected, atol=1e-6)


@pytest.mark.parametrize("kernel_size", [(3, 3), (5, 9), (9, 5), (1, 7)])
def test_blur_is_torchvisions(photos, kernel_size):
    images, sigmas = photos / 255, spread(0.1, 3)
    pairs = zip(images, sigmas, strict=True)
    expected = torch.stack([TF.gaussian_blur(x, list(kernel_size), sigma.item()) for x, sigma in pairs])
    assert torch.allclose(operations.gaussian_blur(images, kernel_size, sigmas), expected, atol=1e-5)


GEOMETRY = {
    "ShearX": lambda x, m, how: TF.affine(x, 0, [0, 0], 1, [degrees(m), 0], how, center=[0, 0]),
    "ShearY": lambda x, m, how: TF.affine(x, 0, [0, 0], 1, [0, degrees(m)], how, center=[0, 0]),
    "TranslateX": lambda x, m, how: TF.affine(x, 0, [int(m), 0], 1, [0, 0], how),
    "TranslateY": lambda x, m, how: TF.affine(x, 0, [0, int(m)], 1, [0, 0], how),
    "Rotate": lambda x, m, how: TF.rotate(x, m, how),
}
REACH = {"ShearX": 0.97, "ShearY": 0.97, "TranslateX": 20.7, "TranslateY": 20.7, "Rotate": 131}


def degrees(slope: float) -> float:
    return torch.tensor(slope).atan().rad2deg().item()


@pytest.mark.parametrize("name", GEOMETRY)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_a_change_of_geometry_is_torchvisions(photos, name, interpolation):
    images, magnitudes = photos / 255, spread(-REACH[name], REACH[name])
    how = InterpolationMode(interpolation)
    expected = torch.stack([GEOMETRY[name](x, m.item(), how) for x, m in zip(images, magnitudes, strict=True)])
    ours = apply(images, [name] * 12, magnitudes, interpolation, fill=0)
    far = (ours - expected).abs() > LEVEL
    # The nearest pixel is a matter of the last bit where two are equally near, and what is outside of rounding, too.
    assert far.float().mean() <= (0.005 if interpolation == "nearest" else 0)


def test_what_comes_from_outside_has_the_fill(photos):
    moved = apply(photos / 255, ["TranslateX"] * 12, torch.full((12,), 5.0), "nearest", fill=0.25)
    assert torch.allclose(moved[..., :5], torch.tensor(0.25))
    assert torch.allclose(moved[..., 5:], photos[..., :-5] / 255, atol=1e-6)


# Boxes, resized


def boxes(n: int, width: int, height: int) -> Tensor:
    """Left, top, width, height of random boxes inside of an image, [4, n]."""
    share = torch.rand(4, n, generator=torch.Generator().manual_seed(2))
    extent = torch.stack([(0.1 + 0.9 * share[2]) * width, (0.1 + 0.9 * share[3]) * height])
    start = torch.stack([share[0] * (width - extent[0]), share[1] * (height - extent[1])])
    return torch.cat([start, extent])


@pytest.mark.parametrize("size", [7, 16, 24, 40])
def test_a_resized_box_is_pillows(photos, size):
    """Pillow rounds to whole levels after the rows and again after the columns."""
    left, top, width, height = boxes(12, SIZE, SIZE)
    ours = operations.resize_box(photos / 255, left, top, width, height, size) * 255
    for index, image in enumerate(photos):
        x, y, w, h = (value[index].item() for value in (left, top, width, height))
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        resized = picture.resize((size, size), Image.Resampling.BILINEAR, box=(x, y, x + w, y + h))
        assert np.abs(ours[index].permute(1, 2, 0).numpy() - np.asarray(resized)).max() <= 1.5


def test_a_box_of_everything_is_torchvisions_resize(photos):
    images, zero, all_of_it = photos / 255, torch.zeros(12), torch.full((12,), float(SIZE))
    ours = operations.resize_box(images, zero, zero, all_of_it, all_of_it, 10)
    assert torch.allclose(ours, TF.resize(images, [10, 10], antialias=True), atol=1e-5)


@pytest.mark.parametrize(("height", "width", "size"), [(256, 256, 224), (33, 33, 28), (17, 20, 10), (16, 21, 16)])
def test_the_centre_is_where_torchvision_takes_it(height, width, size):
    images = torch.arange(height * width).view(1, 1, height, width)
    assert torch.equal(operations.center_crop(images, size), TF.center_crop(images, [size, size]))
