"""The augmentations against torchvision's, and their draws."""

from classifier.data.augment import autoaugment, build_augment, policies, transforms
from classifier.errors import InputError

import pytest
import torch
from torch import Generator
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as TF

SIZE = 16


@pytest.fixture
def images():
    return torch.rand(8, 3, SIZE, SIZE, generator=seeded(0))


@pytest.fixture
def gradients():
    """Images whose red is the x and whose green is the y coordinate of a pixel, from 0 to 1."""
    ramp = (torch.arange(32) + 0.5) / 32
    x, y = ramp.expand(32, 32), ramp[:, None].expand(32, 32)
    return torch.stack([x, y, torch.ones(32, 32)]).repeat(50, 1, 1, 1)


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def apply(transforms: dict, images, seed: int = 0):
    return build_augment(transforms, images.shape[-1], "train.augment")(images, seeded(seed))


def where_moved(transforms: dict, images, dot=(16, 16)) -> torch.Tensor:
    """For many draws, by how many pixels (x, y) the centre of mass of a dot on black is moved."""
    blank = torch.zeros(200, 3, 32, 32)
    row, column = dot
    blank[:, :, row - 1 : row + 1, column - 1 : column + 1] = 1
    moved = apply(transforms, blank)[:, 0]
    mass = moved.sum((1, 2))
    position = torch.arange(32) + 0.5
    x, y = (moved.sum(1) * position).sum(1) / mass, (moved.sum(2) * position).sum(1) / mass
    return torch.stack([x - column, y - row], 1)


# Each transform against torchvision's for the same parameters

EVERY_KIND = {
    "RandomHorizontalFlip": {},
    "RandomVerticalFlip": {},
    "RandomCrop": {"size": SIZE, "padding": 3},
    "RandomResizedCrop": {},
    "RandomResize": {"min_size": SIZE, "max_size": 2 * SIZE},
    "RandomRotation": {"degrees": 30},
    "RandomAffine": {"degrees": 10, "translate": [0.1, 0.2], "scale": [0.8, 1.2], "shear": 10},
    "TrivialAugmentWide": {},
    "RandAugment": {},
    "AutoAugment": {},
    "ColorJitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "RandomGrayscale": {"p": 0.5},
    "GaussianBlur": {"kernel_size": 5},
    "RandomErasing": {},
}


def test_every_transform_is_tested_here():
    assert set(EVERY_KIND) == set(transforms.TRANSFORMS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RandomHorizontalFlip", TF.horizontal_flip),
        ("RandomVerticalFlip", TF.vertical_flip),
        ("RandomGrayscale", lambda x: TF.rgb_to_grayscale(x, 3)),
    ],
)
def test_a_transform_of_probability_one_is_torchvisions_and_of_zero_nothing(images, name, expected):
    assert torch.allclose(apply({name: {"p": 1}}, images), expected(images), atol=1e-3)
    assert torch.equal(apply({name: {"p": 0}}, images), images)


def test_a_probability_is_the_share_of_images_that_change(gradients):
    flipped = apply({"RandomHorizontalFlip": {"p": 0.2}}, gradients.repeat(20, 1, 1, 1))
    share = (flipped[:, 0, 0, 0] > 0.5).float().mean()
    assert 0.15 < share < 0.25


@pytest.mark.parametrize("degrees", [30, -30, 90, 180, 5])
def test_a_rotation_turns_as_torchvisions_random_rotation_does(images, degrees):
    expected = TF.rotate(images, degrees, InterpolationMode.BILINEAR)
    assert torch.allclose(apply({"RandomRotation": {"degrees": [degrees, degrees]}}, images), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("degrees", "scale", "shear"),
    [
        (0, 1, 0),
        (30, 1, 0),
        (-90, 1, 0),
        (0, 1.5, 0),
        (0, 0.5, 0),
        (0, 1, 20),
        (0, 1, -20),
        (25, 1.3, 15),
        (-70, 0.8, 30),
    ],
)
def test_an_affine_map_is_torchvisions(images, degrees, scale, shear):
    arguments = {"degrees": [degrees, degrees], "scale": [scale, scale], "shear": [shear, shear]}
    expected = TF.affine(images, degrees, [0, 0], scale, [shear, 0], InterpolationMode.BILINEAR)
    assert torch.allclose(apply({"RandomAffine": arguments}, images), expected, atol=1e-4)


def test_translation_moves_by_up_to_its_share_of_the_image_in_all_directions(images):
    moved = where_moved({"RandomAffine": {"degrees": 0, "translate": [0.25, 0.125]}}, images)
    assert moved.min(0).values.tolist() == pytest.approx([-8, -4], abs=0.5)
    assert moved.max(0).values.tolist() == pytest.approx([8, 4], abs=0.5)


@pytest.mark.parametrize("scale", [0.5, 2])
def test_translation_is_a_share_of_the_image_also_when_it_is_scaled(images, scale):
    arguments = {"degrees": 0, "translate": [0.125, 0], "scale": [scale, scale]}
    moved = where_moved({"RandomAffine": arguments}, images)
    assert moved[:, 0].abs().max() == pytest.approx(4, abs=0.5)
    assert moved[:, 1].abs().max() == pytest.approx(0, abs=0.1)


def test_translation_is_horizontal_also_when_the_image_is_turned(images):
    moved = where_moved({"RandomAffine": {"degrees": [90, 90], "translate": [0.25, 0]}}, images)
    assert moved[:, 0].abs().max() == pytest.approx(8, abs=0.5)
    assert moved[:, 1].abs().max() == pytest.approx(0, abs=0.1)


def test_what_comes_from_outside_the_image_is_black(images):
    shrunk = apply({"RandomAffine": {"degrees": 0, "scale": [0.5, 0.5]}}, images)
    assert shrunk[..., :3, :].abs().max() == 0


@pytest.mark.parametrize(
    ("argument", "expected"),
    [("brightness", TF.adjust_brightness), ("contrast", TF.adjust_contrast), ("saturation", TF.adjust_saturation)],
)
@pytest.mark.parametrize("factor", [0, 0.4, 1, 1.7])
def test_colour_jitter_is_torchvisions(images, argument, expected, factor):
    jittered = apply({"ColorJitter": {argument: [factor, factor]}}, images)
    assert torch.allclose(jittered, expected(images, factor), atol=1e-3)


def test_a_single_amount_of_jitter_means_from_one_less_to_one_more(images):
    gray = torch.full((500, 3, 4, 4), 0.5)
    levels = apply({"ColorJitter": {"brightness": 0.4}}, gray)[:, 0, 0, 0]
    assert levels.min() == pytest.approx(0.3, abs=0.01)
    assert levels.max() == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_a_crop_is_a_window_of_the_padded_image(images, mode):
    fill = {"fill": 0.25} if mode == "constant" else {}
    crops = apply(
        {"RandomCrop": {"size": SIZE, "padding": 2, "padding_mode": mode, **fill}}, images.repeat(30, 1, 1, 1)
    )
    padded = TF.pad(images.repeat(30, 1, 1, 1), [2], padding_mode=mode, **fill)
    found = set()
    for crop, image in zip(crops, padded, strict=True):
        for top in range(5):
            for left in range(5):
                if torch.equal(crop, image[:, top : top + SIZE, left : left + SIZE]):
                    found.add((top, left))
                    break
            else:
                continue
            break
        else:
            pytest.fail("a crop that is no window of its padded image")
    assert len(found) == 25, "every offset occurs"


def test_a_resized_crop_shows_a_part_of_the_drawn_area_and_shape(gradients):
    crops = apply({"RandomResizedCrop": {"scale": [0.2, 0.4], "ratio": [0.5, 2]}}, gradients)
    step = 31 / 32  # between the first and the last pixel
    width = (crops[:, 0, 0, -1] - crops[:, 0, 0, 0]) / step
    height = (crops[:, 1, -1, 0] - crops[:, 1, 0, 0]) / step
    assert (width * height).min() >= 0.2 * 0.95
    assert (width * height).max() <= 0.4 * 1.05
    assert (width / height).min() >= 0.5 * 0.95
    assert (width / height).max() <= 2 * 1.05
    assert (width / height).min() < 0.7
    assert (width / height).max() > 1.4


def test_a_resized_crop_is_torchvisions(gradients):
    images = torch.rand(50, 3, 32, 32, generator=seeded(1))
    arguments = {"RandomResizedCrop": {"scale": [0.25, 0.25], "ratio": [1, 1]}}
    crops, coordinates = apply(arguments, images), apply(arguments, gradients)
    for image, crop, where in zip(images, crops, coordinates, strict=True):
        left, top = ((where[c].min() * 32 - 0.25).round().int().item() for c in (0, 1))
        shift = [(where[c].min() * 32 - 0.25 - corner).item() for c, corner in ((0, left), (1, top))]
        if max(map(abs, shift)) < 0.02:  # torchvision crops at whole pixels only
            expected = TF.resized_crop(image, top, left, 16, 16, [32, 32], antialias=False)
            assert torch.allclose(crop[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=0.05)


def test_a_resized_crop_of_everything_is_the_image(images):
    whole = apply({"RandomResizedCrop": {"scale": [1, 1], "ratio": [1, 1]}}, images)
    assert torch.allclose(whole, images, atol=1e-5)


def test_erasing_sets_one_rectangle_of_the_drawn_area_to_the_value():
    white = torch.ones(300, 3, 32, 32)
    erased = apply({"RandomErasing": {"p": 1, "scale": [0.1, 0.2], "ratio": [0.5, 2], "value": 0.5}}, white)
    assert set(erased.unique().tolist()) == {0.5, 1.0}
    for mask in erased[:, 0] == 0.5:
        rows, columns = mask.any(1), mask.any(0)
        assert mask.sum() == rows.sum() * columns.sum(), "a rectangle"
        assert 0.08 <= mask.float().mean() <= 0.23
        assert 0.4 <= rows.sum() / columns.sum() <= 2.5
    covered = (erased[:, 0] == 0.5).any(0)
    assert covered.any(0).all(), "every column is reached"
    assert covered.any(1).all(), "every row is reached"


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0, 0.3])
def test_the_hue_of_colour_jitter_is_torchvisions(images, shift):
    jittered = apply({"ColorJitter": {"hue": [shift, shift]}}, images)
    assert torch.allclose(jittered, TF.adjust_hue(images, shift), atol=1e-5)


@pytest.mark.parametrize("kernel_size", [3, [5, 9]])
def test_a_blur_is_torchvisions(images, kernel_size):
    blurred = apply({"GaussianBlur": {"kernel_size": kernel_size, "sigma": 1.3}}, images)
    assert torch.allclose(blurred, TF.gaussian_blur(images, kernel_size, 1.3), atol=1e-5)


# Another size


def test_a_sized_crop_is_a_window_of_the_image(images):
    crops = build_augment({"RandomCrop": {"size": 12}}, SIZE, "train.augment", 12)(images, seeded(0))
    for crop, image in zip(crops, images, strict=True):
        windows = image.unfold(1, 12, 1).unfold(2, 12, 1)  # [3, top, left, 12, 12]
        assert (windows == crop.view(3, 1, 1, 12, 12)).all(4).all(3).all(0).any()


@pytest.mark.parametrize("size", [7, 12, 24])
def test_a_sized_resized_crop_of_everything_is_torchvisions_resize(images, size):
    arguments = {"RandomResizedCrop": {"size": size, "scale": [1, 1], "ratio": [1, 1]}}
    resized = build_augment(arguments, SIZE, "train.augment", size)(images, seeded(0))
    assert torch.allclose(resized, TF.resize(images, [size, size], antialias=True), atol=1e-5)


def test_a_sized_resized_crop_shows_what_the_one_without_a_size_shows(gradients):
    box = {"scale": [0.2, 0.6]}
    sized = build_augment({"RandomResizedCrop": box | {"size": 8}}, 32, "train.augment", 8)(gradients, seeded(1))
    unsized = apply({"RandomResizedCrop": box}, gradients, 1)
    means = unsized.view(-1, 3, 8, 4, 8, 4).mean((3, 5))
    assert torch.allclose(sized[..., 1:-1, 1:-1], means[..., 1:-1, 1:-1], atol=0.005)


@pytest.mark.parametrize("side", [12, 15, 20])
def test_a_random_resize_is_a_window_of_torchvisions_resize(images, side):
    arguments = {"RandomResize": {"min_size": side, "max_size": side + 1, "size": 12}}
    crops = build_augment(arguments, SIZE, "train.augment", 12)(images.repeat(80, 1, 1, 1), seeded(0))
    windows = TF.resize(images, [side, side], antialias=True).repeat(80, 1, 1, 1).unfold(2, 12, 1).unfold(3, 12, 1)
    found = ((windows - crops.view(-1, 3, 1, 1, 12, 12)).abs() < 1e-5).all(5).all(4).all(1)  # [n, top, left]
    assert found.any(2).any(1).all(), "each is a window"
    assert found.any(0).all(), "every offset occurs"


def test_a_random_resize_draws_every_side(gradients):
    crops = build_augment({"RandomResize": {"min_size": 16, "max_size": 20, "size": 16}}, 32, "train.augment", 16)
    shown = crops(gradients, seeded(0))[:, 0, 8]
    sides = 8 / (shown[:, 12] - shown[:, 4])
    assert sides.round().unique().tolist() == [16, 17, 18, 19]


def test_without_a_transform_that_changes_the_size_the_centre_is_taken(images):
    centre = build_augment({"RandomVerticalFlip": {"p": 1}}, SIZE, "train.augment", 10)(images, seeded(0))
    assert torch.equal(centre, images.flip(-2)[..., 3:13, 3:13])


# TrivialAugmentWide, RandAugment and AutoAugment


@pytest.mark.parametrize(
    ("ours", "theirs", "bins"),
    [
        (autoaugment.wide_space(), v2.TrivialAugmentWide(), 31),
        (autoaugment.rand_space(SIZE), v2.RandAugment(), 31),
        (autoaugment.auto_space(SIZE), v2.AutoAugment(), 10),
    ],
)
def test_the_operations_and_their_magnitudes_are_torchvisions(ours, theirs, bins):
    space = {"Identity": (lambda *_: None, False), **theirs._AUGMENTATION_SPACE}  # AutoAugment's lacks it
    assert ours.keys() == space.keys()
    for name, (magnitudes, signed) in space.items():
        expected, (first, last, has_sign) = magnitudes(bins, SIZE, SIZE), ours[name]
        assert has_sign == signed
        if expected is None:
            assert first == last == 0
        else:
            bin_values = first + (last - first) * torch.arange(bins) / (bins - 1)
            assert torch.allclose(
                bin_values.round() if name == "Posterize" else bin_values, expected.float(), atol=1e-5
            )


@pytest.mark.parametrize("policy", policies.POLICIES)
def test_the_policies_are_torchvisions(policy):
    expected = v2.AutoAugment()._get_policies(v2.AutoAugmentPolicy(policy))
    ours = [tuple(tuple(step) for step in pair) for pair in policies.POLICIES[policy]]
    assert ours == [tuple((name, p, magnitude or 0) for name, p, magnitude in pair) for pair in expected]


def outcomes(image, name: str, magnitude: float, signed: bool) -> list:
    """What an operation makes of an image, with the signs that its magnitude may have."""
    signs = (1, -1) if signed else (1,)
    return [autoaugment.apply(image, [name], torch.tensor([s * magnitude]), "nearest", 0)[0] for s in signs]


def test_rand_augment_applies_every_operation_at_its_magnitude_and_nothing_else(images):
    image = images[:1]
    drawn = apply({"RandAugment": {"num_ops": 1, "magnitude": 15}}, image.repeat(500, 1, 1, 1))
    space = autoaugment.rand_space(SIZE)
    possible = [
        outcome
        for name, (first, last, signed) in space.items()
        for outcome in outcomes(image, name, (first + last) / 2, signed)
    ]
    same = torch.stack([((drawn - outcome).abs() < 1e-5).flatten(1).all(1) for outcome in possible])
    assert same.any(0).all()
    assert same.any(1).all()


def test_two_operations_are_drawn_apart_from_each_other(images):
    many = images[:1].repeat(300, 1, 1, 1)
    one, two = (apply({"RandAugment": {"num_ops": n}}, many).flatten(1).unique(dim=0) for n in (1, 2))
    assert len(two) > 3 * len(one)
    assert torch.equal(apply({"RandAugment": {"num_ops": 0}}, many), many)


@pytest.mark.parametrize("policy", policies.POLICIES)
def test_auto_augment_applies_a_pair_of_its_policy_in_its_order(images, policy):
    image, space = images[:1], autoaugment.auto_space(SIZE)

    def results(before, step) -> list:
        first, last, signed = space[step.operation]
        magnitude = first + (last - first) * step.bin / (policies.BINS - 1)
        applied = outcomes(before[None], step.operation, magnitude, signed) if step.probability > 0 else []
        return applied + ([before] if step.probability < 1 else [])

    possible = torch.stack(
        [end for one, two in policies.POLICIES[policy] for mid in results(image[0], one) for end in results(mid, two)]
    )
    drawn = apply({"AutoAugment": {"policy": policy}}, image.repeat(300, 1, 1, 1))
    same = torch.stack([((possible - outcome).abs() < 1e-4).flatten(1).all(1) for outcome in drawn])
    assert same.any(1).all()
    assert same.any(0).float().mean() > 0.5, "of the rare ones not all are drawn"


# The draws


@pytest.mark.parametrize("name", EVERY_KIND)
def test_every_image_of_a_batch_gets_a_draw_of_its_own(name):
    same = torch.rand(1, 3, SIZE, SIZE, generator=seeded(3)).expand(32, -1, -1, -1).contiguous()
    assert len(torch.unique(apply({name: EVERY_KIND[name]}, same).flatten(1), dim=0)) >= 2


@pytest.mark.parametrize("name", EVERY_KIND)
def test_the_same_generator_seed_gives_the_same_images(images, name):
    first, again, other = (apply({name: EVERY_KIND[name]}, images, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", EVERY_KIND)
def test_images_keep_their_shape_range_and_the_input_its_values(images, name):
    before = images.clone()
    after = apply({name: EVERY_KIND[name]}, images)
    assert after.shape == images.shape
    assert 0 <= after.min() <= after.max() <= 1 + 1e-6
    assert torch.equal(images, before)


def test_the_global_generator_is_left_alone(images):
    state = torch.get_rng_state()
    apply(EVERY_KIND, images)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_order_in_params_yaml_changes_nothing(images):
    reversed_order = dict(reversed(EVERY_KIND.items()))
    assert torch.equal(apply(EVERY_KIND, images), apply(reversed_order, images))


def test_no_transforms_leave_images_as_they_are(images):
    assert torch.equal(apply({}, images), images)


# What is refused


def refused(transforms: dict) -> str:
    with pytest.raises(InputError) as error:
        build_augment(transforms, SIZE, "train.augment")
    return str(error.value)


def test_an_unknown_transform_is_refused_with_the_nearest():
    message = refused({"RandomHorizontalFlipp": {}})
    assert message == "train.augment.RandomHorizontalFlipp: no such transform, did you mean 'RandomHorizontalFlip'?"


def test_an_unknown_argument_is_refused_with_the_nearest():
    message = refused({"RandomErasing": {"scales": [0.1, 0.2]}})
    assert message == "train.augment.RandomErasing.scales: no such argument, did you mean 'scale'?"


def test_arguments_that_name_internals_are_unknown():
    assert "no such argument" in refused({"RandomHorizontalFlip": {"generator": 1}})


NAN = float("nan")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("RandomHorizontalFlip", {"p": 1.5}),
        ("RandomHorizontalFlip", {"p": -0.1}),
        ("RandomHorizontalFlip", {"p": NAN}),
        ("RandomVerticalFlip", {"p": "often"}),
        ("RandomGrayscale", {"p": None}),
        ("RandomCrop", {}),
        ("RandomCrop", {"size": 0}),
        ("RandomCrop", {"size": SIZE + 1}),
        ("RandomCrop", {"size": SIZE - 1}),
        ("RandomCrop", {"size": SIZE + 2, "padding": 2}),
        ("RandomCrop", {"size": 8.5}),
        ("RandomCrop", {"size": SIZE, "padding": 2, "padding_mode": "mirror"}),
        ("RandomCrop", {"size": SIZE, "padding": SIZE, "padding_mode": "reflect"}),
        ("RandomResizedCrop", {"scale": [0.5, 0.2]}),
        ("RandomResizedCrop", {"scale": 0.5}),
        ("RandomResizedCrop", {"scale": [-1, 1]}),
        ("RandomResizedCrop", {"scale": [NAN, 1]}),
        ("RandomResizedCrop", {"ratio": [0, 1]}),
        ("RandomRotation", {}),
        ("RandomRotation", {"degrees": -10}),
        ("RandomRotation", {"degrees": "ten"}),
        ("RandomRotation", {"degrees": [1, 2, 3]}),
        ("RandomRotation", {"degrees": NAN}),
        ("RandomAffine", {"degrees": 0, "translate": [0.1]}),
        ("RandomAffine", {"degrees": 0, "translate": [-0.1, 0.1]}),
        ("RandomAffine", {"degrees": 0, "translate": [2, 0]}),
        ("RandomAffine", {"degrees": 0, "scale": [0, 0]}),
        ("RandomAffine", {"degrees": 0, "scale": [-1, 1]}),
        ("RandomAffine", {"degrees": 0, "shear": -5}),
        ("ColorJitter", {"brightness": -0.5}),
        ("ColorJitter", {"brightness": [-1, 2]}),
        ("ColorJitter", {"contrast": [2, 1]}),
        ("ColorJitter", {"saturation": NAN}),
        ("ColorJitter", {"hue": 0.6}),
        ("ColorJitter", {"hue": [-0.6, 0.1]}),
        ("ColorJitter", {"hue": NAN}),
        ("RandomResizedCrop", {"size": SIZE - 0.5}),
        ("RandomResizedCrop", {"size": 2 * SIZE}),
        ("RandomResize", {}),
        ("RandomResize", {"min_size": SIZE - 1, "max_size": 2 * SIZE}),
        ("RandomResize", {"min_size": SIZE, "max_size": SIZE}),
        ("RandomResize", {"min_size": SIZE + 0.5, "max_size": 2 * SIZE}),
        ("TrivialAugmentWide", {"num_magnitude_bins": 1}),
        ("TrivialAugmentWide", {"interpolation": "bicubic"}),
        ("TrivialAugmentWide", {"fill": 2}),
        ("RandAugment", {"num_ops": -1}),
        ("RandAugment", {"magnitude": 31}),
        ("AutoAugment", {"policy": "mnist"}),
        ("GaussianBlur", {}),
        ("GaussianBlur", {"kernel_size": 4}),
        ("GaussianBlur", {"kernel_size": 2 * SIZE + 1}),
        ("GaussianBlur", {"kernel_size": 3, "sigma": 0}),
        ("GaussianBlur", {"kernel_size": 3, "sigma": [2, 1]}),
        ("RandomErasing", {"scale": [-1, 1]}),
        ("RandomErasing", {"ratio": [0, 1]}),
        ("RandomErasing", {"value": "random"}),
    ],
)
def test_a_value_that_does_not_work_is_refused_where_it_stands(name, arguments):
    assert f"train.augment.{name}: " in refused({name: arguments})


def test_another_size_than_the_network_sees_is_refused_with_the_remedy():
    with pytest.raises(InputError) as error:
        build_augment({"RandomResizedCrop": {"size": 14}}, SIZE, "train.augment", 12)
    assert str(error.value) == (
        "train.augment.RandomResizedCrop: makes images of 14 pixels, but they must end at 12: set its size to 12."
    )


def test_a_rotation_over_a_range_uses_all_of_it(gradients):
    turned = transforms.random_rotation(gradients, seeded(0), degrees=[0, 90])
    slope = torch.atan2(turned[:, 0, 17, 16] - turned[:, 0, 15, 16], turned[:, 0, 16, 17] - turned[:, 0, 16, 15])
    degrees = torch.rad2deg(slope).abs()
    assert degrees.min() < 10
    assert degrees.max() > 80
