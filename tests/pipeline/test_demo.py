"""`make demo` plays the whole scenario."""

import json

import pytest

from .conftest import copy_tree

pytestmark = pytest.mark.slow


def test_demo_improves_a_class_and_shows_every_step(tmp_path):
    clone = copy_tree(tmp_path / "clone")
    output = clone.run("scripts/demo.sh")
    again = output.split("$ dvc repro")[2]
    assert "Stage 'prepare' didn't change, skipping" in again
    assert "Running stage 'train'" in again
    assert "Running stage 'evaluate'" in again
    assert "train.class_weights" in output.split("$ dvc params diff baseline")[1]
    metrics = json.loads((clone.path / "demo" / "metrics.json").read_text())
    assert metrics["test"]["accuracy"] >= 0.95
    assert (clone.path / "demo" / "dvc_plots" / "index.html").exists()
    assert "A       models/classifier.safetensors" in output.split("$ dvc pull")[1]
    header, first, second = output.split("$ python scripts/predict.py")[1].splitlines()[1:4]
    assert header.split() == ["path", "class", "confidence", "runner-ups"]
    assert first.startswith("../data/test/eight/1443.png")
    assert second.startswith("../data/test/two/")
    model = (clone.path / "demo" / "models" / "classifier.safetensors").read_bytes()
    assert (clone.path / "demo" / "colleague" / "models" / "classifier.safetensors").read_bytes() == model
