"""train.py: class weights, the training loop and what is kept of it."""

import csv
import json
import os
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import prepare
import train
from classifier import reproducibility
from classifier.config import load_params
from classifier.data.augment import build_augment
from classifier.data.loader import PLACES, ResidentSource
from classifier.errors import InputError
from classifier.network import inference
from classifier.network.checkpoint import load_checkpoint
from classifier.network.network import Network, Normalize
from classifier.network.preprocessing import Preprocessing
from classifier.paths import CHECKPOINT
from classifier.reproducibility import (
    autocast_dtype,
    choose_algorithms,
    describe_environment,
    select_device,
    set_precision,
    step_seed,
)
from classifier.tracking.tracker import Tracker
from classifier.training.criterion import Criterion, weigh_classes
from classifier.training.distributed import ALONE
from classifier.training.order import epoch_order

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight


@pytest.fixture
def run_train(workspace, small_dataset, params):
    """A function: prepare a small dataset once, then run train.py with the given parameters."""
    small_dataset()
    Path("params.yaml").write_text(params())
    prepare.main()

    def run(changes=None) -> bytes:
        Path("params.yaml").write_text(params(changes))
        train.main()
        return CHECKPOINT.read_bytes()

    return run


def history() -> list[dict[str, str]]:
    with open("plots/history.csv", newline="") as file:
        return list(csv.DictReader(file))


# Class weights


COUNTS = {"cat": 10, "dog": 30, "frog": 60}


def test_without_weights_every_class_counts_one():
    assert weigh_classes({}, COUNTS).tolist() == [1, 1, 1]


@pytest.mark.parametrize("setting", [{"cat": 2.0}, {"cat": 0.1, "frog": 7.0}, "balanced"])
def test_the_weights_of_the_training_images_average_one(setting):
    weights = weigh_classes(setting, COUNTS)
    assert (weights * torch.tensor([10, 30, 60])).sum() / 100 == pytest.approx(1)


def test_a_weight_is_relative_to_the_classes_without_one():
    cat, dog, frog = weigh_classes({"cat": 3.0}, COUNTS).tolist()
    assert (cat / dog, frog / dog) == pytest.approx((3, 1))


def test_balanced_is_what_scikit_learn_calls_balanced():
    labels = np.repeat([0, 1, 2], list(COUNTS.values()))
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert weigh_classes("balanced", COUNTS).tolist() == pytest.approx(expected.tolist())


def test_a_weight_for_an_unknown_class_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"train\.class_weights.*no class 'cta', did you mean 'cat'"):
        weigh_classes({"cta": 2.0}, COUNTS)
    with pytest.raises(InputError, match="no class 'horse', known: cat, dog, frog"):
        weigh_classes({"horse": 2.0}, COUNTS)


def make_trainer(params_text: str, class_weights: list[float]) -> train.Trainer:
    Path("params.yaml").write_text(params_text)
    params = load_params("train")
    torch.manual_seed(0)
    head = torch.nn.Linear(3 * 4 * 4, 3)
    preprocessing = Preprocessing(4, "crop", 4, "bilinear", (0.5,) * 3, (0.2,) * 3)
    network = Network(torch.nn.Sequential(torch.nn.Flatten(), head), head, preprocessing)
    criterion = Criterion(torch.tensor(class_weights), params.class_weighting, params.label_smoothing)
    augment = build_augment(params.augment, 4, "")
    return train.Trainer(network, params, augment, criterion, 4, torch.device("cpu"), torch.float32)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (6, 3, 4, 4), generator=generator).byte(), torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [5.0, 1.0, 0.5]])
def test_each_image_counts_in_the_loss_by_the_weight_of_its_class(workspace, params, batch, weights):
    trainer = make_trainer(params({"train.optimizer": "sgd", "train.label_smoothing": 0.0}), weights)
    with torch.no_grad():
        per_image = F.cross_entropy(trainer.network(trainer.network.normalize(batch[0])), batch[1], reduction="none")
    loss, _ = trainer.train_step(*batch, None)
    assert loss == pytest.approx((per_image * torch.tensor(weights)[batch[1]]).mean().item(), rel=1e-5)


def test_weighting_a_class_pulls_predictions_towards_it(workspace, params, batch):
    def mean_probability_of_the_first_class(weights):
        trainer = make_trainer(params({"train.optimizer": "sgd", "train.lr": 0.01}), weights)
        for _ in range(5):
            trainer.train_step(*batch, None)
        return trainer.network(trainer.network.normalize(batch[0])).softmax(1)[:, 0].mean().item()

    assert (
        mean_probability_of_the_first_class([2.5, 0.25, 0.25]) > mean_probability_of_the_first_class([1.0] * 3) + 0.02
    )


@pytest.mark.parametrize("weighting", ["loss", "logits"])
def test_both_ways_of_weighting_want_the_same_answer_where_images_cannot_be_told_apart(
    workspace, params, batch, weighting
):
    changes = {"train.optimizer": "sgd", "train.lr": 0.01, "train.label_smoothing": 0.0}
    trainer = make_trainer(params(changes | {"train.class_weighting": weighting}), [1.5, 0.75, 0.75])
    image = batch[0][:1].expand(6, -1, -1, -1)  # two of each class
    for _ in range(200):
        trainer.train_step(image, batch[1], None)
    probabilities = trainer.network(trainer.network.normalize(image[:1])).softmax(1)[0]
    assert probabilities.tolist() == pytest.approx([0.5, 0.25, 0.25], abs=0.01)


def test_weights_of_one_train_the_same_network_either_way(run_train):
    assert run_train({"train.class_weighting": "loss"}) == run_train({"train.class_weighting": "logits"})


@pytest.mark.parametrize("weights", [[0.5, 1.5, 1.0], [2.0, 0.5, 0.5], [0.1, 0.1, 2.8]])
def test_sampling_shows_each_image_about_as_often_as_it_weighs(weights):
    labels = torch.arange(300) % 3
    image_weights = torch.tensor(weights)[labels]
    epochs = [epoch_order(image_weights, 300, torch.Generator().manual_seed(seed)) for seed in range(40)]
    shown = torch.stack([order.bincount(minlength=300) for order in epochs]).float()
    assert shown.sum(1).tolist() == [300] * 40
    assert ((shown - image_weights).abs() < 1).all()  # in each epoch the integer below or above the weight
    for label, weight in enumerate(weights):
        assert shown[:, labels == label].mean() == pytest.approx(weight, abs=0.02)
    assert not any(torch.equal(order, order.sort().values) for order in epochs)


def test_sampling_leaves_the_loss_alone_and_trains_another_network(workspace, params, batch, run_train):
    trainer = make_trainer(params({"train.class_weighting": "sampling", "train.optimizer": "sgd"}), [5.0, 1.0, 0.5])
    alike = make_trainer(params({"train.optimizer": "sgd"}), [1.0] * 3)
    assert trainer.train_step(*batch, None) == alike.train_step(*batch, None)
    changes = {"train.class_weights": {"cat": 3.0}}
    ways = {run_train(changes | {"train.class_weighting": way}) for way in ("loss", "logits", "sampling")}
    assert len({*ways, run_train()}) == 4


# Training


@pytest.mark.parametrize("optimizer", ["muon", "sgd", "adamw"])
def test_a_network_learns_to_tell_colours_apart(run_train, optimizer):
    lr = {"muon": 0.1, "sgd": 0.02, "adamw": 0.002}[optimizer]
    run_train({"train.optimizer": optimizer, "train.lr": lr, "train.epochs": 6, "train.batch_size": 3})
    rows = history()
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert max(float(row["val_accuracy"]) for row in rows) > 0.9


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(run_train):
    changes = {"train.augment": {"RandomHorizontalFlip": {}, "RandomErasing": {}}}
    first = run_train(changes)
    torch.rand(7)  # whatever happened before
    assert run_train(changes) == first
    assert run_train(changes | {"train.seed": 1}) != first


def test_where_the_splits_lie_changes_no_byte(run_train, monkeypatch):
    changes = {"train.augment": {"RandomErasing": {}}, "train.flip": "alternating", "train.epochs": 2}
    results = []
    for place in PLACES:
        monkeypatch.setenv("SPLITS", place)
        results.append(run_train(changes))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("seed", [20_260_131, 2**31 - 1, 2**32 - 1])
def test_large_seeds_such_as_dates_work(run_train, seed):
    run_train({"train.seed": seed})
    assert CHECKPOINT.exists()


@pytest.mark.parametrize("disturbed", ["augmentation", "dropout"])
def test_the_draws_of_an_epoch_depend_on_nothing_that_came_before(workspace, params, batch, disturbed):
    def train_epoch(disturb: bool) -> torch.Tensor:
        changes = {"train.optimizer": "sgd", "train.batch_size": 3, "train.augment": {"RandomErasing": {}}}
        trainer = make_trainer(params(changes), [1.0] * 3)
        trainer.network.module.insert(1, torch.nn.Dropout(0.5))
        if disturb:
            torch.rand(5, generator=trainer.generator if disturbed == "augmentation" else torch.default_generator)
        trainer.train_one_epoch(ResidentSource(*batch), 0, SimpleNamespace(update=lambda _: None))
        return trainer.network.module[-1].weight.detach()

    assert torch.equal(train_epoch(False), train_epoch(True))


def test_alternating_flips_show_each_image_both_ways_in_two_epochs(workspace, params, batch, monkeypatch):
    seen = {0: [], 1: []}
    trainer = make_trainer(params({"train.flip": "alternating", "train.optimizer": "sgd"}), [1.0] * 3)
    for epoch, images in seen.items():
        monkeypatch.setattr(trainer, "augment", lambda x, _, images=images: images.append(x) or x)
        trainer.train_one_epoch(ResidentSource(*batch), epoch, SimpleNamespace(update=lambda _: None))
    first, second = (torch.cat(images).mul(255).round() for images in seen.values())
    for image in batch[0].float():
        shown = [(x == image).flatten(1).all(1).any().item() for x in (first, second)]
        mirrored = [(x == image.flip(-1)).flatten(1).all(1).any().item() for x in (first, second)]
        assert sorted(shown) == [False, True]
        assert mirrored == shown[::-1]


def test_the_seeds_of_all_steps_differ():
    seeds = {step_seed(seed, epoch, step) for seed in range(20) for epoch in range(20) for step in range(20)}
    assert len(seeds) == 8000


def test_a_dataset_smaller_than_a_batch_trains(run_train):
    run_train({"train.batch_size": 500, "train.epochs": 2})
    assert len(history()) == 2


def test_a_crop_smaller_than_the_network_takes_is_refused(run_train):
    with pytest.raises(InputError, match="train"):
        run_train({"train.augment": {"RandomCrop": {"size": 4}}})


def test_a_low_resolution_that_the_network_does_not_take_is_refused(run_train):
    with pytest.raises(InputError, match="does not take 8×8 images"):
        run_train({"train.low_res_share": 0.5, "train.low_res_scale": 0.5})


def test_training_starts_on_small_images_and_ends_on_full_ones(run_train, monkeypatch):
    sizes = []
    forward = Normalize.forward

    def note_size(self, images):
        if images.is_floating_point():
            sizes.append(images.shape[-1])
        return forward(self, images)

    monkeypatch.setattr(Normalize, "forward", note_size)
    run_train({"train.low_res_share": 0.5, "train.low_res_scale": 0.94, "train.epochs": 4, "train.batch_size": 9})
    assert sizes == [15] * 4 + [16] * 4


def test_the_learning_rate_of_each_epoch_follows_the_schedule(run_train):
    run_train({"train.epochs": 4, "train.optimizer": "sgd", "train.lr": 0.02, "train.schedule": "linear"})
    assert [float(row["lr"]) for row in history()] == pytest.approx([0.02, 0.015, 0.01, 0.005])


def test_float16_trains_with_scaled_gradients(run_train):
    run_train({"train.precision": "fp16", "train.epochs": 2, "train.optimizer": "sgd", "train.lr": 0.01})
    assert np.isfinite([float(row["val_loss"]) for row in history()]).all()


# A loss that is not finite


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_a_learning_rate_that_explodes_stops_training_and_leaves_the_checkpoint(run_train, optimizer):
    before = run_train()
    with pytest.raises(InputError, match=r"loss is (nan|inf) at epoch \d, step \d, learning rate .*lower train\.lr"):
        run_train({"train.optimizer": optimizer, "train.lr": 1e30, "train.aux_lr": 1e30, "train.epochs": 3})
    assert CHECKPOINT.read_bytes() == before


def test_weights_that_explode_in_the_last_step_are_not_kept(run_train):
    before = run_train()
    with pytest.raises(InputError, match=r"train\.lr"):
        run_train({"train.optimizer": "sgd", "train.lr": 1e38, "train.batch_size": 500})
    assert CHECKPOINT.read_bytes() == before


# Which weights are kept


@pytest.mark.parametrize(
    ("keep", "accuracies", "epoch"),
    [
        ("best", [0.2, 0.9, 0.5], 2),
        ("last", [0.2, 0.9, 0.5], 3),
        ("best", [0.9, 0.2, 0.5], 1),
        ("best", [0.2, 0.9, 0.9], 3),
    ],
)
def test_the_weights_of_the_best_or_of_the_last_epoch_are_kept(monkeypatch, tmp_path, keep, accuracies, epoch):
    model = torch.nn.Linear(1, 1)

    def train_one_epoch(data, epoch, bar, parts):
        torch.nn.init.constant_(model.weight, epoch + 1)
        return 0.1, 1.0, 0.5

    trainer = SimpleNamespace(
        judged=SimpleNamespace(module=model),
        average=None,
        params=SimpleNamespace(epochs=3, keep=keep),
        modules=lambda: {"model": model},
        steps=lambda data: 1,
        work=lambda *_: 0.0,
        processes=ALONE,
        train_one_epoch=train_one_epoch,
        optimizers=[],
        scaler=torch.amp.GradScaler("cpu", enabled=False),
    )
    results = iter([(1.0, accuracy, []) for accuracy in accuracies])
    monkeypatch.setattr(train, "validate", lambda *_: next(results))
    data = ResidentSource(torch.zeros(4, 1), torch.zeros(4))
    rows, weights = train.train_and_validate(trainer, data, data, tmp_path / "state", Tracker())
    assert weights["weight"].item() == epoch
    assert [row.val_accuracy for row in rows] == accuracies


def test_the_checkpoint_says_how_images_were_treated(run_train):
    run_train()
    _, metadata = load_checkpoint(CHECKPOINT)
    described = json.loads(Path("prepared/dataset.json").read_text())
    assert metadata.model == "airbench_small"
    assert metadata.classes == ["cat", "dog", "frog"]
    assert metadata.preprocessing == Preprocessing(
        16, "crop", 16, "bilinear", tuple(described["mean"]), tuple(described["std"])
    )


# Input that is not what prepare.py wrote


def test_training_without_prepared_data_says_what_to_run(workspace, params):
    Path("params.yaml").write_text(params())
    with pytest.raises(InputError, match=r"run `dvc repro` or `python prepare\.py`"):
        train.main()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_flipped_bit_in_the_prepared_data_is_refused(run_train, split):
    path = Path(f"prepared/{split}.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"{split}.safetensors is not the file that"):
        run_train()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"classes": ["cat"]}'])
def test_a_damaged_description_is_refused(run_train, text):
    Path("prepared/dataset.json").write_text(text)
    with pytest.raises(InputError, match=r"dataset\.json (is damaged|has no .* another version)"):
        run_train()


# Device and precision


@pytest.mark.parametrize("name", ["gpu", "cuda:99"])
def test_a_device_that_cannot_be_used_is_refused(monkeypatch, name):
    monkeypatch.setenv("DEVICE", name)
    with pytest.raises(InputError, match=f"DEVICE={name} cannot be used"):
        select_device()


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("tf32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_a_precision_that_is_named_is_used(precision, dtype):
    assert autocast_dtype(precision, torch.device("cpu")) == dtype


@pytest.fixture
def tf32():
    """A function: whether float32 is rounded in matrix products and convolutions. Afterwards it is not."""
    yield lambda: {torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32}
    set_precision("fp32", torch.device("cpu"))


@pytest.mark.parametrize("native", [True, False])
def test_tf32_is_float32_rounded_where_the_hardware_does_so(monkeypatch, tf32, native):
    monkeypatch.setattr(reproducibility, "has_bf16", lambda device: native)
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert set_precision("tf32", gpu) == torch.float32
    assert tf32() == {native}
    described = describe_environment(cpu, torch.float32, "resnet18")["precision"]
    assert described == ("tf32" if native else "float32")
    for precision in ("fp32", "bf16"):
        set_precision("tf32", gpu)
        set_precision(precision, gpu)
        assert tf32() == {False}
    assert set_precision("tf32", cpu) == torch.float32
    assert tf32() == {False}


def test_a_training_may_give_up_determinism_and_the_next_one_has_it_again(run_train):
    for deterministic in (False, True):
        run_train({"train.deterministic": deterministic})
        assert torch.get_deterministic_debug_mode() == deterministic  # as a number, 0 is off and 1 warns
        assert torch.backends.cudnn.benchmark != deterministic


def test_algorithms_that_repeat_their_bits_are_asked_of_cublas_too(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    choose_algorithms(deterministic=False)
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    choose_algorithms(deterministic=True)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.parametrize("machine", ["arm64", "aarch64"])
def test_auto_precision_is_fp32_on_a_processor_without_native_bf16(monkeypatch, machine):
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert autocast_dtype("auto", torch.device("cpu")) == torch.float32


# Test-time views


@pytest.mark.parametrize(("tta", "count"), [("none", 1), ("flip", 2), ("flip+shift", 6)])
def test_the_weights_of_the_views_sum_to_one(tta, count):
    views = inference.test_time_views(torch.rand(2, 3, 8, 8), tta)
    assert len(views) == count
    assert sum(weight for weight, _ in views) == pytest.approx(1)
    assert all(view.shape == (2, 3, 8, 8) for _, view in views)


def test_views_are_the_image_its_mirror_image_and_both_shifted_by_a_pixel():
    image = torch.rand(1, 3, 8, 8)
    views = [view for _, view in inference.test_time_views(image, "flip+shift")]
    assert torch.equal(views[0], image)
    assert torch.equal(views[1], image.flip(-1))
    assert torch.equal(views[2][..., 1:, 1:], image[..., :-1, :-1])
    assert torch.equal(views[4][..., :-1, :-1], image[..., 1:, 1:])


def test_the_version_of_timm_is_recorded_with_its_networks_alone():
    names = ("timm/resnet18", "resnet18", "airbench")
    timms, torchvisions, own = (describe_environment(torch.device("cpu"), torch.float32, name) for name in names)
    assert timms == own | {"timm": version("timm")}
    assert torchvisions == own
    assert "timm" not in own
    assert own["torchvision"] == version("torchvision")
