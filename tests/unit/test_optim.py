"""Optimizers and learning-rate schedules."""

from classifier.config import load_params
from classifier.training import optim
from classifier.training.optim import Muon, build_optimizers, find_matrices, lr_factor, orthogonalize
from tests.conftest import small

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode


@pytest.fixture
def train_params(workspace, params):
    """A function: the section `train` of params.yaml with some values altered."""

    def load(changes=None):
        (workspace / "params.yaml").write_text(params(changes))
        return load_params("train")

    return load


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (16, 16), (1, 9)])
def test_orthogonalizing_brings_all_singular_values_near_one(shape):
    values = torch.linalg.svdvals(orthogonalize(draw(*shape), steps=8))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_orthogonalizing_keeps_the_singular_vectors():
    matrix = draw(12, 30)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    rotated = u.T @ orthogonalize(matrix, steps=8) @ v.T
    assert (rotated - torch.diag(rotated.diag())).abs().max() < 0.1


def test_orthogonalizing_does_not_depend_on_the_scale():
    assert torch.allclose(orthogonalize(draw(8, 20)), orthogonalize(draw(8, 20) * 1000), atol=0.05)


def test_a_muon_step_moves_against_the_gradient_by_the_learning_rate():
    weight = nn.Parameter(draw(8, 2, 3, 3))
    weight.data *= 8**0.5 / weight.data.norm()
    before = weight.detach().clone()
    weight.grad = draw(8, 2, 3, 3)
    Muon([weight], lr=0.5, momentum=0.0).step()
    moved = (weight.detach() - before).flatten(1)
    assert (moved * weight.grad.flatten(1)).sum() < 0
    assert torch.allclose(moved, -0.5 * orthogonalize(weight.grad.flatten(1)), atol=1e-5)


@pytest.mark.parametrize("native", [True, False])
def test_matrices_are_orthogonalised_in_bf16_only_where_the_hardware_has_it(monkeypatch, native):
    monkeypatch.setattr(optim, "has_bf16", lambda device: native)
    matrix = draw(24, 40)
    result = orthogonalize(matrix)
    assert torch.equal(result, result.bfloat16().float()) == native
    assert result.dtype == torch.float32
    singular = torch.linalg.svdvals(result)
    assert 0.6 < singular.min() <= singular.max() < 1.3


@pytest.mark.parametrize("optimizer", ["muon", "sgd", "adamw"])
@pytest.mark.parametrize("model", ["airbench_small", "mobilenet_v3_small"])
def test_every_trainable_parameter_is_moved_by_exactly_one_optimizer(train_params, optimizer, model):
    network = small(model, 3, 32)
    optimizers = build_optimizers(network, train_params({"train.optimizer": optimizer}))
    held = [id(p) for o in optimizers for group in o.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in network.module.parameters() if p.requires_grad)


@pytest.mark.parametrize("optimizer", ["muon", "sgd", "adamw"])
def test_a_step_changes_the_trainable_parameters_and_no_others(train_params, optimizer):
    torch.manual_seed(0)
    network = small("airbench_small", 3, 16)
    before = {name: p.detach().clone() for name, p in network.module.named_parameters()}
    nn.functional.cross_entropy(network(draw(4, 3, 16, 16)), torch.tensor([0, 1, 2, 0])).backward()
    for o in build_optimizers(network, train_params({"train.optimizer": optimizer})):
        o.step()
    for name, p in network.module.named_parameters():
        assert torch.equal(p, before[name]) != p.requires_grad, name


def test_muon_leaves_the_head_and_the_biases_to_adamw(train_params):
    network = small("airbench_small", 3, 16)
    muon, adamw = build_optimizers(network, train_params({"train.optimizer": "muon", "train.aux_lr": 0.03}))
    assert isinstance(muon, Muon)
    assert all(p.ndim == 4 for p in muon.param_groups[0]["params"])
    assert adamw.param_groups[0]["params"] == [network.head.weight]
    assert {group["lr"] for group in adamw.param_groups} == {0.03}


@pytest.mark.parametrize("optimizer", ["muon", "sgd", "adamw"])
def test_biases_and_norms_do_not_decay(train_params, optimizer):
    network = small("mobilenet_v3_small", 3, 32)
    changes = {"train.optimizer": optimizer, "train.weight_decay": 0.1}
    for o in build_optimizers(network, train_params(changes)):
        for group in o.param_groups:
            if not isinstance(o, Muon):
                assert group["weight_decay"] == (0.1 if group["params"][0].ndim > 1 else 0)


@pytest.mark.parametrize("optimizer", ["muon", "sgd"])
def test_tables_of_biases_are_no_matrices(train_params, optimizer):
    network = small("swin_t", 3, 32)
    tables = {p for name, p in network.module.named_parameters() if name.endswith("relative_position_bias_table")}
    assert {p.ndim for p in tables} == {2}
    for o in build_optimizers(network, train_params({"train.optimizer": optimizer, "train.weight_decay": 0.1})):
        for group in o.param_groups:
            if isinstance(o, Muon) or group["weight_decay"]:
                assert not tables & set(group["params"])


def test_the_fused_weights_of_attention_are_matrices():
    module = small("vit_b_32", 3, 32).module
    attention = module.encoder.layers[0].self_attention
    assert {attention.in_proj_weight, attention.out_proj.weight, module.conv_proj.weight} <= find_matrices(module)
    assert not {module.class_token, module.encoder.pos_embedding, attention.in_proj_bias} & find_matrices(module)


@pytest.mark.parametrize(
    ("schedule", "expected"), [("linear", [1, 0.75, 0.5, 0]), ("cosine", [1, 0.853553, 0.5, 0]), ("constant", [1] * 4)]
)
def test_a_schedule_starts_at_its_peak_and_takes_its_shape(schedule, expected):
    factor = lr_factor(schedule, warmup=0.0)
    assert [factor(t) for t in (0, 0.25, 0.5, 1)] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("schedule", "middle"), [("linear", 0.5), ("cosine", 0.5), ("constant", 1)])
def test_warm_up_rises_linearly_to_the_peak_and_then_the_schedule_begins(schedule, middle):
    factor = lr_factor(schedule, warmup=0.2)
    assert [factor(t) for t in (0, 0.1, 0.2, 0.6)] == pytest.approx([0, 0.5, 1, middle])


@pytest.mark.parametrize("optimizer", ["muon", "sgd", "adamw"])
def test_on_a_gpu_torch_s_own_optimizers_are_fused(train_params, optimizer):
    params = train_params({"train.optimizer": optimizer})
    network = small("resnet18", 3, 32)
    assert [o.defaults.get("fused") for o in build_optimizers(network, params) if not isinstance(o, Muon)] == [None]
    with FakeTensorMode(allow_non_fake_inputs=True):  # tensors without content, so that no GPU is needed
        network.to(torch.device("cuda"))
        found = build_optimizers(network, params)
    assert [o.defaults["fused"] for o in found if not isinstance(o, Muon)] == [True]
