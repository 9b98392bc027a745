"""Temperature scaling: what is fitted, where it is kept, and that every probability follows from it."""

import json
import re
from pathlib import Path

import evaluate
import prepare
import train
from classifier.network.checkpoint import load_checkpoint, save_checkpoint
from classifier.network.export import to_onnx
from classifier.network.predictor import Predictor
from classifier.paths import CHECKPOINT, METRICS, PREDICTIONS
from classifier.tensors import read_tensors
from classifier.training.calibration import fit_temperature

import numpy as np
import pandas as pd
import pytest
import torch


def draw_answers(true_temperature: float, count: int = 20_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and labels drawn with the probabilities that they have at `true_temperature`."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(count, 5, generator=generator)
    labels = torch.multinomial((logits / true_temperature).softmax(1), 1, generator=generator)[:, 0]
    return logits, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_of_answers_is_found(temperature):
    assert fit_temperature(*draw_answers(temperature)) == pytest.approx(temperature, rel=0.03)


def test_without_a_mistake_among_few_images_the_answers_do_not_become_certain():
    logits = torch.eye(4).repeat(9, 1)
    confidence = (logits / fit_temperature(logits, logits.argmax(1))).softmax(1).max().item()
    assert 0.9 < confidence < 0.99


@pytest.fixture
def trained(workspace, small_dataset, params):
    """A function that trains, with calibration or without, and evaluates."""
    small_dataset("data")

    def run(calibrate: bool) -> None:
        Path("params.yaml").write_text(params({"train.calibrate": calibrate, "train.epochs": 2}))
        prepare.main()
        train.main()
        evaluate.main()

    return run


def test_calibration_changes_confidence_and_no_answer(trained, capsys):
    trained(calibrate=False)
    weights, described = read_tensors(CHECKPOINT, "checkpoint")
    before, metrics = pd.read_csv(PREDICTIONS), json.loads(METRICS.read_text())
    assert described["temperature"] == 1.0
    capsys.readouterr()
    trained(calibrate=True)
    calibrated, described = read_tensors(CHECKPOINT, "checkpoint")
    after, calibrated_metrics = pd.read_csv(PREDICTIONS), json.loads(METRICS.read_text())
    assert f"logits are divided by {described['temperature']:g}" in capsys.readouterr().out
    assert described["temperature"] != 1.0
    assert all(torch.equal(weights[name], calibrated[name]) for name in weights)
    assert before["prediction"].tolist() == after["prediction"].tolist()
    assert before["confidence"].tolist() != after["confidence"].tolist()
    assert metrics["val"]["accuracy"] == calibrated_metrics["val"]["accuracy"]


def test_pages_and_scripts_get_the_probabilities_that_the_temperature_makes(trained):
    trained(calibrate=False)
    weights, _ = read_tensors(CHECKPOINT, "checkpoint")
    _, metadata = load_checkpoint(CHECKPOINT)
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 16, 16), dtype=np.uint8)
    logits = np.log(Predictor(CHECKPOINT, precision="fp32")(images))
    metadata = type(metadata)(**{**vars(metadata), "temperature": 0.25})
    save_checkpoint(CHECKPOINT, weights, metadata)
    sharper = np.exp(4 * logits) / np.exp(4 * logits).sum(1, keepdims=True)
    np.testing.assert_allclose(Predictor(CHECKPOINT, precision="fp32")(images), sharper, rtol=1e-5)


def test_the_exported_model_divides_by_the_temperature(trained):
    onnxruntime = pytest.importorskip("onnx.reference")
    trained(calibrate=True)
    network, metadata = load_checkpoint(CHECKPOINT)
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 16, 16), dtype=np.uint8)
    import onnx

    session = onnxruntime.ReferenceEvaluator(onnx.load_from_string(to_onnx(network, metadata.model)))
    (answer,) = session.run(None, {session.input_names[0]: image})
    np.testing.assert_allclose(answer, Predictor(CHECKPOINT, precision="fp32")(image), atol=1e-5)


@pytest.mark.parametrize("lie", [0, -1, float("inf"), "hot"])
def test_a_checkpoint_with_an_impossible_temperature_is_refused(trained, lie):
    from classifier.errors import InputError

    trained(calibrate=False)
    weights, _ = read_tensors(CHECKPOINT, "checkpoint")
    _, metadata = load_checkpoint(CHECKPOINT)
    save_checkpoint(CHECKPOINT, weights, type(metadata)(**{**vars(metadata), "temperature": lie}))
    with pytest.raises(InputError, match=re.escape("does not describe its own weights")):
        load_checkpoint(CHECKPOINT)
