"""LAUNCH says how the training is started, and is no part of the pipeline."""

import sys

from tests.clones import Clone

import pytest
import yaml

pytestmark = pytest.mark.slow

TORCHRUN = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node 2"


def command(clone: Clone) -> str:
    return yaml.safe_load((clone.path / "dvc.lock").read_text())["stages"]["train"]["cmd"]


def test_how_training_is_launched_is_no_change_of_the_pipeline(pipeline):
    before = command(pipeline)
    assert before.endswith("${LAUNCH:-python} train.py")
    pipeline.environment |= {"LAUNCH": TORCHRUN}
    assert pipeline.repro() == [], "nothing has changed"
    output = pipeline.run("dvc", "repro", "--force", "--single-item", "train")
    assert output.count("wrote models/classifier.safetensors") == 1
    assert command(pipeline) == before
    del pipeline.environment["LAUNCH"]
    assert "train" not in pipeline.repro()
