"""What starts from pretrained weights: what is frozen, how fast the rest moves, and features computed once."""

from pathlib import Path

import prepare
import train
from classifier.config import load_params
from classifier.data.prepared import map_split
from classifier.errors import InputError
from classifier.network.checkpoint import load_checkpoint
from classifier.network.inference import predict_logits
from classifier.network.pretrained import Pretrained, write_weights
from classifier.paths import CHECKPOINT, HISTORY
from classifier.tensors import read_tensors
from classifier.training import features
from classifier.training.average import Average
from classifier.training.criterion import Criterion
from classifier.training.optim import build_optimizers, lr_scales
from tests.conftest import small

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

MODEL = "mobilenet_v3_small"
FINE_TUNING = {
    "prepare.image_size": 40,
    "train.image_size": 32,
    "train.model": MODEL,
    "train.pretrained": "IMAGENET1K_V1",
    "train.optimizer": "adamw",
    "train.lr": 0.01,
    "train.epochs": 2,
    "train.batch_size": 12,
}


@pytest.fixture
def fine_tune(workspace, small_dataset, params):
    """A function that trains from generated weights with some other parameters; returns weights before and after."""
    small_dataset("data", size=40)
    Path("params.yaml").write_text(params(FINE_TUNING))
    prepare.main()
    torch.manual_seed(7)
    network = small(MODEL, 5, 32)
    with torch.no_grad():
        for layer in network.module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.uniform_(-0.1, 0.1)
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    weights = Pretrained(MODEL, "IMAGENET1K_V1", before, network.preprocessing, "the test", "0" * 64, None)
    write_weights(weights)

    def run(**changes):
        Path("params.yaml").write_text(params(FINE_TUNING | {f"train.{k}": v for k, v in changes.items()}))
        train.main()
        return before, read_tensors(CHECKPOINT, "checkpoint")[0]

    return run


def moved(before: dict, after: dict) -> set[str]:
    """The tensors of the body that training has changed."""
    names = [name for name in before if not name.startswith("classifier.3") and "num_batches" not in name]
    return {name for name in names if not torch.equal(before[name], after[name])}


def test_without_freezing_all_layers_learn_from_where_the_weights_are(fine_tune):
    before, after = fine_tune(lr=1e-6)
    names = moved(before, after)
    assert {"features.0.0.weight", "features.0.1.running_mean", "classifier.0.weight"} <= names
    filters = "features.0.0.weight"
    assert torch.allclose(before[filters], after[filters], atol=1e-3)


def test_the_checkpoint_has_the_colours_of_the_weights_and_both_sizes(fine_tune):
    fine_tune(epochs=1)
    preprocessing = read_tensors(CHECKPOINT, "checkpoint")[1]["preprocessing"]
    assert (preprocessing["size"], preprocessing["crop"]) == (40, 32)
    assert (preprocessing["mean"], preprocessing["std"]) == ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])


@pytest.mark.parametrize("augment", [{}, {"RandomErasing": {}}], ids=["features once", "images each epoch"])
def test_a_frozen_backbone_stays_as_it_is_to_the_last_bit_and_the_head_learns(fine_tune, augment):
    before, after = fine_tune(freeze="backbone", augment=augment)
    assert moved(before, after) == set()
    _, later = fine_tune(freeze="backbone", augment=augment, epochs=3)
    assert not torch.equal(after["classifier.3.weight"], later["classifier.3.weight"])


def test_features_computed_once_give_the_head_that_training_on_images_gives(fine_tune, monkeypatch):
    changes = {"freeze": "backbone", "flip": "alternating", "optimizer": "sgd", "lr": 0.1}
    _, once = fine_tune(**changes)
    monkeypatch.setattr(features, "suffice", lambda *_: False)
    _, each_epoch = fine_tune(**changes)
    for name in ("classifier.3.weight", "classifier.3.bias"):
        torch.testing.assert_close(once[name], each_epoch[name])


def test_frozen_norms_keep_their_statistics_while_filters_learn(fine_tune):
    names = moved(*fine_tune(freeze="norms"))
    assert not any("running" in name for name in names)
    assert {"features.0.0.weight", "features.0.1.weight"} <= names


def test_in_the_first_epochs_only_the_head_learns(fine_tune, monkeypatch):
    learning = []
    step = train.Trainer.train_step

    def note(trainer, *arguments):
        learning.append(sum(p.requires_grad for p in trainer.network.module.parameters()))
        return step(trainer, *arguments)

    monkeypatch.setattr(train.Trainer, "train_step", note)
    before, after = fine_tune(freeze_epochs=1)
    first, second = learning[: len(learning) // 2], learning[len(learning) // 2 :]
    assert set(first) == {2}  # weight and bias of the head
    assert set(second) == {len(list(small(MODEL, 3, 32).module.parameters()))}
    assert "features.0.0.weight" in moved(before, after)


def test_the_backbone_moves_slower_by_its_scale(workspace, params):
    Path("params.yaml").write_text(params(FINE_TUNING | {"train.backbone_lr_scale": 0.1, "train.weight_decay": 0.05}))
    network = small(MODEL, 3, 32)
    [optimizer] = build_optimizers(network, load_params("train"))
    rates = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    decays = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert rates.keys() == set(network.module.parameters())
    for p in network.module.parameters():
        assert rates[p] == pytest.approx(0.01 if p in set(network.head.parameters()) else 0.001)
        assert decays[p] == (0.05 if p.ndim > 1 else 0)
    assert optimizer.param_groups[0]["lr"] == 0.01  # which history.csv reports


def test_gradients_are_cut_to_the_norm(fine_tune):
    before, after = fine_tune(optimizer="sgd", momentum=0.0, lr=1.0, epochs=1, batch_size=500, clip_norm=1e-3)
    before |= {name: torch.zeros_like(after[name]) for name in after if name.startswith("classifier.3")}  # the new head
    weights = [name for name in before if name.endswith(("weight", "bias"))]
    distance = sum((before[name] - after[name]).square().sum() for name in weights).sqrt()
    assert 0 < distance <= 1.01e-3


def test_soft_labels_weigh_classes_by_their_shares():
    criterion = Criterion(torch.tensor([3.0, 1.0, 0.5]), "loss", 0.0)
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])
    one_hot = F.one_hot(labels, 3).float()
    torch.testing.assert_close(criterion(logits, one_hot), criterion(logits, labels))
    half = torch.tensor([[0.5, 0.5, 0.0]])
    expected = 2.0 * F.cross_entropy(logits[:1], half)
    torch.testing.assert_close(criterion(logits[:1], half), expected)


@pytest.mark.parametrize("how", [{"mixup": 0.2}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}])
def test_mixed_images_train_to_the_same_bits_each_time(fine_tune, how):
    _, plain = fine_tune(epochs=1)
    _, first = fine_tune(epochs=1, **how)
    _, second = fine_tune(epochs=1, **how)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], plain[name]) for name in first)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train.image_size": 48}, "train.image_size: must be at most prepare.image_size, which is 40, not 48"),
        ({"train.optimizer": "muon"}, "train.optimizer: muon brings every filter to a fixed norm"),
        ({"train.pretrained": "none", "train.freeze": "backbone"}, "train.freeze: backbone keeps what was learnt"),
        ({"train.pretrained": "none", "train.freeze": "norms"}, "train.freeze: norms keeps what was learnt"),
        ({"train.pretrained": "none", "train.freeze_epochs": 1}, "train.freeze_epochs: must be 0 where"),
        ({"train.freeze": "backbone", "train.freeze_epochs": 1}, "train.freeze_epochs: must be 0 with"),
        ({"train.freeze_epochs": 2}, "train.freeze_epochs: must be less than train.epochs, which is 2"),
    ],
)
def test_parameters_that_make_no_sense_together_are_named(workspace, params, changes, sentence):
    Path("params.yaml").write_text(params(FINE_TUNING | changes))
    with pytest.raises(InputError) as error:
        load_params("prepare")  # before any data is read
    assert sentence in str(error.value)


def test_each_block_further_from_the_head_moves_slower_by_the_layer_decay(workspace, params):
    changes = {"train.layer_decay": 0.5, "train.backbone_lr_scale": 0.1, "train.weight_decay": 0.05}
    Path("params.yaml").write_text(params(FINE_TUNING | changes))
    network = small(MODEL, 3, 32)
    (optimizer,) = build_optimizers(network, load_params("train"))
    lrs = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert set(lrs) == set(network.module.parameters())
    by_name = {name: lrs[p] / 0.01 for name, p in network.module.named_parameters()}
    assert by_name["classifier.3.weight"] == by_name["classifier.3.bias"] == 1
    assert by_name["classifier.0.weight"] == pytest.approx(0.1 * 0.5)
    assert by_name["features.12.0.weight"] == pytest.approx(0.1 * 0.5**2)
    assert by_name["features.12.1.weight"] == by_name["features.12.0.weight"]
    assert by_name["features.11.block.0.0.weight"] == by_name["features.11.block.3.0.weight"]
    assert by_name["features.11.block.0.0.weight"] == pytest.approx(0.1 * 0.5**3)
    assert by_name["features.0.0.weight"] == min(by_name.values())
    decays = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays[dict(network.module.named_parameters())["features.0.1.bias"]] == 0


@pytest.mark.parametrize(
    ("model", "first", "blocks"),
    [
        ("resnet18", "conv1.weight", 1 + 8),
        ("vit_b_16", "conv_proj.weight", 1 + 12),
        ("timm/convnext_atto", "stem.0.weight", 1 + 2 + 2 + 6 + 2 + 3),
        ("timm/tf_efficientnet_lite0", "conv_stem.weight", 1 + 16 + 1),
        ("googlenet", "conv1.conv.weight", 3 + 9),
    ],
)
def test_the_blocks_of_a_network_are_those_that_it_numbers(model, first, blocks):
    network = small(model, 3, 32)
    scales = lr_scales(network, 1.0, 0.5)
    assert scales[network.module.get_parameter(first)] == 0.5**blocks
    assert max(scales.values()) == 1


def test_all_of_a_block_moves_alike_also_what_comes_before_its_first_matrix():
    scales = lr_scales(network := small("vit_b_16", 3, 32), 1.0, 0.5)
    of_block = "encoder.layers.encoder_layer_3."
    assert {scales[p] for name, p in network.module.named_parameters() if name.startswith(of_block)} == {0.5**9}


def test_an_average_of_the_weights_is_what_is_validated_and_kept(fine_tune):
    _, plain = fine_tune(optimizer="sgd", momentum=0.0, lr=0.05)
    _, averaged = fine_tune(optimizer="sgd", momentum=0.0, lr=0.05, ema=0.5, keep="last")
    assert not torch.equal(plain["features.0.0.weight"], averaged["features.0.0.weight"])
    assert averaged["features.0.1.num_batches_tracked"] == plain["features.0.1.num_batches_tracked"]
    network, _ = load_checkpoint(CHECKPOINT)
    val = map_split("val")
    logits = predict_logits(network, [torch.from_numpy(np.array(val.images))], torch.float32)
    validated = F.cross_entropy(logits, torch.from_numpy(np.array(val.labels))).item()
    assert pd.read_csv(HISTORY)["val_loss"].iloc[-1] == pytest.approx(validated, rel=1e-4)


def test_an_average_follows_the_weights_by_its_decay():
    network = small(MODEL, 3, 32)
    average = Average(network, 0.6)
    first = network.module.get_parameter("features.0.0.weight").detach().clone()
    with torch.no_grad():
        network.module.get_parameter("features.0.0.weight").add_(1)
    expected = first
    for update in range(1, 9):
        average.update(network)
        kept = min(0.6, (1 + update) / (10 + update))
        expected = kept * expected + (1 - kept) * (first + 1)
    torch.testing.assert_close(average.network.module.get_parameter("features.0.0.weight"), expected)
    assert not torch.equal(average.network.module.get_parameter("features.0.0.weight"), first + 1)


def test_a_batch_in_parts_gives_the_gradient_of_the_whole(fine_tune, monkeypatch):
    changes = {"freeze": "norms", "optimizer": "sgd", "mixup": 0.4, "label_smoothing": 0.1}
    _, whole = fine_tune(**changes)
    sizes = []
    call = train.Network.__call__

    def note(network, x):
        if torch.is_grad_enabled():
            sizes.append(len(x))
        return call(network, x)

    monkeypatch.setattr(train.Network, "__call__", note)
    _, parts = fine_tune(**changes, accumulate=5)
    assert max(sizes) <= 3  # a fifth of about 12
    for name in ("classifier.3.weight", "features.0.0.weight"):
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-4, atol=1e-6)
