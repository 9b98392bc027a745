"""classifier/network/gradcam.py and features.py: where any network looked, and what it makes of images."""

from classifier.network import features as features_of
from classifier.network import gradcam
from classifier.network.features import compute_features, nearest
from classifier.network.gradcam import GRAD_CAM, GRADIENT, where_it_looked
from classifier.network.network import Network
from classifier.network.preprocessing import Preprocessing
from tests.conftest import small

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

PLAIN = Preprocessing(32, "crop", 32, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class Reds(nn.Module):
    """Class 0 is redness without blueness, class 1 is greenness, each the mean over all places."""

    def __init__(self, channels_last: bool = False):
        super().__init__()
        self.first, self.last = nn.Identity(), nn.Identity()  # maps of 32 and of 8 places a side
        self.whole = nn.AdaptiveAvgPool2d(1)  # a map of one place, which says nothing
        self.channels_last = channels_last
        self.head = nn.Linear(3, 2, bias=False)
        self.head.weight.data = torch.tensor([[1.0, 0, -1], [0, 1, 0]])

    def forward(self, x):
        x = F.avg_pool2d(self.first(x), 4)
        x = self.last(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) if self.channels_last else self.last(x)
        return self.head(self.whole(x).flatten(1))


class Tokens(nn.Module):
    """A network that sees a row of places, as transformers do; redness in the upper left one speaks against class 0."""

    def __init__(self):
        super().__init__()
        self.row = nn.Identity()
        self.head = nn.Linear(3, 2, bias=False)
        self.head.weight.data = torch.tensor([[-1.0, 0, 0], [0, 0, 0]])

    def forward(self, x):
        return self.head(self.row(F.avg_pool2d(x, 4).flatten(2).transpose(1, 2))[:, 0])


def corner() -> torch.Tensor:
    """Two images: red in the upper left corner, green in the lower right one, blue in the lower left one."""
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    images[:, 0, :8, :8] = 255
    images[:, 1, 24:, 24:] = 255
    images[:, 2, 24:, :8] = 255
    return images


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("at_a_time", [1, 2])
def test_what_speaks_for_a_class_is_warm_and_what_speaks_against_it_is_not(channels_last, at_a_time, monkeypatch):
    monkeypatch.setattr(gradcam, "batch_size", lambda _: at_a_time)
    module = Reds(channels_last)
    looked = where_it_looked(Network(module, module.head, PLAIN), corner(), torch.tensor([0, 1]))
    assert looked.method == GRAD_CAM
    assert looked.heat.shape == (2, 32, 32)
    assert looked.heat.max((1, 2)).tolist() == [1, 1]
    assert looked.heat.min() == 0
    red, green = looked.heat
    assert red[:6, :6].min() > 0.7
    assert 0 < red[0, 8] < 0.5  # between two places of the last map
    assert red[12:].max() == red[:, 12:].max() == 0
    assert green[26:, 26:].min() > 0.7
    assert green[:20].max() == 0


def test_where_nothing_speaks_for_a_class_nothing_is_warm():
    module = Reds()
    looked = where_it_looked(Network(module, module.head, PLAIN), torch.zeros(1, 3, 32, 32).byte(), torch.tensor([0]))
    assert looked.heat.max() == 0


def test_a_network_that_sees_tokens_is_asked_what_would_change_its_answer_and_this_is_smoothed():
    module = Tokens()
    looked = where_it_looked(Network(module, module.head, PLAIN), corner(), torch.tensor([0, 1]))
    assert looked.method == GRADIENT
    assert looked.heat.shape == (2, 32, 32)
    heat, nothing = looked.heat
    assert heat[:3, :3].min() == 1
    assert 0 < heat[0, 4] < 1
    assert heat[6:].max() == heat[:, 6:].max() == nothing.max() == 0


@pytest.mark.parametrize(
    "name, size, method",
    [
        ("airbench_small", 16, GRAD_CAM),  # the last map of which has one place
        ("airbench_small", 32, GRAD_CAM),
        ("resnet18", 128, GRAD_CAM),
        ("densenet121", 128, GRAD_CAM),  # changes its last map in place
        ("squeezenet1_1", 128, GRAD_CAM),  # its head sees places
        ("swin_t", 128, GRAD_CAM),  # channels last
        ("vit_b_16", 64, GRADIENT),  # after a map of four places a side
        ("timm/tf_efficientnet_lite0", 128, GRAD_CAM),
        ("timm/vit_tiny_patch16_224", 32, GRADIENT),
        ("timm/swin_tiny_patch4_window7_224", 128, GRAD_CAM),
    ],
)
def test_networks_of_every_family_tell_where_they_looked_and_what_they_see(name, size, method):
    torch.manual_seed(0)
    network = small(name, 3, size).eval()
    with torch.no_grad():
        for parameter in network.module.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    looked = where_it_looked(network, images, torch.tensor([0, 2]))
    assert looked.method == method
    assert looked.heat.shape == (2, size, size)
    assert np.isfinite(looked.heat).all()
    features = compute_features(network, [images[:1], images[1:]], torch.float32)
    assert features.ndim == 2
    assert len(features) == 2
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.module.modules())
    if isinstance(network.head, nn.Linear):
        logits = network.head(torch.from_numpy(features))
        assert torch.allclose(logits, network(network.see(images)), atol=1e-4)


@pytest.mark.parametrize("block", [1, 1024])
def test_nearest_are_those_that_point_the_same_way_whatever_their_length(block, monkeypatch):
    monkeypatch.setattr(features_of, "BLOCK", block)
    others = np.array([[1, 0], [0, 5], [3, 3], [-1, 0]], np.float32)
    indices, cosines = nearest(np.array([[2, 0.1], [0, 0]], np.float32), others, 3)
    assert indices[0].tolist() == [0, 2, 1]
    assert cosines[0] == pytest.approx([0.9988, 0.7415, 0.0499], abs=1e-3)
    assert cosines[1].tolist() == [0, 0, 0]
    assert nearest(others, others[:2], 9)[0].shape == (4, 2)
