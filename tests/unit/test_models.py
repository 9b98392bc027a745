"""Networks by name."""

from classifier.errors import InputError
from classifier.network.models import WIDTHS, require_size
from tests.conftest import small

import pytest
import torch


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", WIDTHS)
@pytest.mark.parametrize("image_size", [16, 31, 32, 48])
def test_airbench_takes_images_of_sixteen_pixels_and_more(name, image_size):
    model = small(name, 7, image_size)
    assert model(draw(0, 2, 3, image_size, image_size)).shape == (2, 7)


def test_each_airbench_has_about_half_the_weights_of_the_next_larger_or_less():
    names = ["airbench_small", "airbench_medium", "airbench"]
    least, medium, full = (sum(p.numel() for p in small(name, 10, 32).module.parameters()) for name in names)
    assert 2 * least < medium < 0.6 * full


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "timm/test_resnet", "timm/test_vit"])
def test_torchvisions_and_timms_networks_are_built_by_name_for_the_number_of_classes(name):
    model = small(name, 5, 32)
    assert model.eval()(draw(0, 2, 3, 32, 32)).shape == (2, 5)


def test_a_network_comes_ready_to_train():
    assert small("airbench_small", 3, 16).module.training


def test_the_global_seed_decides_the_first_weights():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in small("airbench_small", 3, 16).module.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_trying_a_network_out_leaves_its_batch_statistics_alone():
    model = small("airbench_small", 3, 16).module
    require_size(model, "airbench_small", 24)
    assert model.training
    assert all((norm.running_mean == 0).all() for norm in model.modules() if isinstance(norm, torch.nn.BatchNorm2d))


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="no network is called 'resnet81', did you mean 'resnet18'"):
        small("resnet81", 3, 32)
    with pytest.raises(InputError, match="did you mean 'airbench'"):
        small("airbnch", 3, 32)
    with pytest.raises(InputError, match="no network is called 'timm/resnet81', did you mean 'timm/resnet"):
        small("timm/resnet81", 3, 32)


def test_networks_that_do_not_classify_images_are_unknown():
    with pytest.raises(InputError, match="no network is called"):
        small("fasterrcnn_resnet50_fpn", 3, 32)


@pytest.mark.parametrize(("name", "image_size"), [("airbench", 8), ("squeezenet1_1", 16)])
def test_a_network_that_cannot_take_the_image_size_is_refused(name, image_size):
    with pytest.raises(InputError, match=f"{name} does not take {image_size}×{image_size} images"):
        small(name, 3, image_size)


def test_whitening_makes_the_patches_of_the_data_uncorrelated():
    blurred = torch.nn.functional.avg_pool2d(draw(0, 64, 3, 24, 24), 5, stride=1)
    images = (blurred + blurred.mean(1, keepdim=True)) * 5  # neighbours and channels correlate, as in photographs
    model = small("airbench_small", 3, 16).module
    model.fit_to_data(images)
    with torch.no_grad():
        whitened = torch.nn.functional.conv2d(images, model.whiten.weight)
    first, negated = whitened[:, :12], whitened[:, 12:]
    flat = first.transpose(0, 1).reshape(12, -1)
    moment = flat @ flat.T / flat.shape[1]
    assert torch.allclose(moment, torch.eye(12), atol=0.1)
    assert torch.allclose(first, -negated)


def test_whitening_filters_stay_fixed_in_training():
    model = small("airbench_small", 3, 16).module
    model(draw(0, 4, 3, 16, 16)).sum().backward()
    assert model.whiten.weight.grad is None
    assert model.head.weight.grad is not None
