"""The contract of networks: what training asks of them works for every family and through any wrapper."""

from pathlib import Path

import prepare
import train
from classifier.data.augment import build_augment
from classifier.network.checkpoint import load_checkpoint
from classifier.network.network import Network
from classifier.network.preprocessing import Preprocessing
from classifier.paths import CHECKPOINT
from classifier.tensors import read_tensors
from tests.conftest import small

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@pytest.fixture
def process_group(tmp_path):
    """This process as the only one of a group, as DistributedDataParallel wants it."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


WRAPPERS = {
    "DistributedDataParallel": DistributedDataParallel,
    "torch.compile": lambda module: torch.compile(module, backend="eager"),  # without a C++ compiler
    "both": lambda module: torch.compile(DistributedDataParallel(module), backend="eager"),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapped_network_is_whitened_trained_and_saved_as_a_bare_one_is(
    workspace, small_dataset, params, monkeypatch, process_group, wrapper
):
    small_dataset("data")
    changes = {"train.epochs": 2, "train.batch_size": 12}
    Path("params.yaml").write_text(params(changes))
    prepare.main()
    train.main()
    bare, description = read_tensors(CHECKPOINT, "checkpoint")

    calls = []
    move = Network.to

    def move_and_wrap(network, *arguments):
        move(network, *arguments).wrap(WRAPPERS[wrapper])
        network._called.register_forward_pre_hook(lambda *_: calls.append(1))
        return network

    monkeypatch.setattr(Network, "to", move_and_wrap)
    train.main()
    wrapped, described = read_tensors(CHECKPOINT, "checkpoint")
    assert calls
    assert wrapped.keys() == bare.keys()
    assert not any(name.startswith(("module.", "_orig_mod.")) for name in wrapped)
    assert described == description
    assert all(torch.equal(wrapped[name], bare[name]) for name in bare)
    filters = wrapped["whiten.weight"]
    untouched = small("airbench_small", 3, 16).module.whiten.weight
    assert torch.equal(filters[12:], -filters[:12])  # as fit_to_data() makes them, and no initialisation does
    assert not torch.equal(untouched[12:], -untouched[:12])
    assert not load_checkpoint(CHECKPOINT)[0].module.training


def test_progress_reaches_the_layers_below_a_wrapper():
    network = small("airbench_small", 3, 16)
    network.wrap(lambda module: torch.compile(module, backend="eager"))
    network.set_progress(0.3)
    assert network.module.whiten.bias.requires_grad
    network.set_progress(0.4)
    assert not network.module.whiten.bias.requires_grad


def test_the_mode_reaches_wrapper_and_layers():
    network = small("resnet18", 3, 32)
    network.wrap(lambda module: torch.compile(module, backend="eager"))
    assert not network.eval().module.bn1.training
    assert network.train().module.bn1.training


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("airbench_small", 16),
        ("alexnet", 64),
        ("densenet121", 32),
        ("mobilenet_v3_small", 32),
        ("resnet18", 32),
        ("shufflenet_v2_x0_5", 32),
        ("squeezenet1_1", 32),
        ("swin_t", 32),
        ("vit_b_32", 32),
    ],
)
def test_the_head_is_the_layer_that_makes_the_logits(name, size):
    network = small(name, 7, size)
    assert (network.head.out_channels if isinstance(network.head, nn.Conv2d) else network.head.out_features) == 7
    assert network.head in set(network.module.modules())


def test_a_network_without_hooks_draws_no_sample():
    def sample(count: int):
        raise AssertionError("nothing asked for it")

    small("resnet18", 3, 32).fit_to_data(sample)


@pytest.mark.parametrize("size", range(16, 24))
def test_training_and_evaluation_cut_the_same_centre(size):
    preprocessing = Preprocessing(size, "crop", 16, "bilinear", (0.5,) * 3, (0.5,) * 3)
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    augmented = build_augment({}, size, "train.augment", 16)(images, torch.Generator())
    assert torch.equal(preprocessing.centre(images), augmented)


def test_the_network_sees_the_centre_of_a_stored_image():
    preprocessing = Preprocessing(8, "crop", 4, "bilinear", (0.5,) * 3, (0.5,) * 3)
    images = np.arange(2 * 3 * 8 * 8).reshape(2, 3, 8, 8)
    assert np.array_equal(preprocessing.centre(images), images[:, :, 2:6, 2:6])
    assert torch.equal(preprocessing.centre(torch.from_numpy(images)), torch.from_numpy(images)[:, :, 2:6, 2:6])
