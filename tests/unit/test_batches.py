"""Batches of training: no network with batch norm ever sees a single image."""

from pathlib import Path
from types import SimpleNamespace

import prepare
import train
from classifier.paths import CHECKPOINT
from classifier.training.loop import Trainer

import pytest
import torch


def sizes(count: int, batch_size: int) -> list[int]:
    """The sizes of an epoch's batches, as train_one_epoch cuts them."""
    trainer, data = SimpleNamespace(params=SimpleNamespace(batch_size=batch_size)), SimpleNamespace(labels=range(count))
    return [len(batch) for batch in torch.arange(count).tensor_split(Trainer.steps(trainer, data))]


@pytest.mark.parametrize("batch_size", [2, 3, 4, 5, 16])
def test_no_batch_has_a_single_image(batch_size):
    for count in range(2, 70):
        assert min(sizes(count, batch_size)) >= 2, count
        assert sum(sizes(count, batch_size)) == count


@pytest.mark.parametrize(("count", "batch_size", "steps"), [(47_500, 500, 95), (8, 2, 4), (9, 2, 4), (5, 16, 1)])
def test_batches_are_about_as_large_as_asked_for(count, batch_size, steps):
    assert len(sizes(count, batch_size)) == steps


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_network_with_batch_norm_learns_from_seven_images(workspace, small_dataset, params, accumulate):
    small_dataset(train=3, val=1, test=1, size=32)
    for i in (1, 2):
        Path(f"data/train/frog/00{i}.png").unlink()
    wanted = {"train.batch_size": 2 * accumulate, "train.accumulate": accumulate, "prepare.image_size": 32}
    other = {"train.model": "resnet18", "train.optimizer": "sgd", "train.lr": 0.01}
    Path("params.yaml").write_text(params(wanted | other))
    prepare.main()
    train.main()
    assert CHECKPOINT.exists()
