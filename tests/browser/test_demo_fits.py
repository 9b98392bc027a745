"""demo.html of a network that sees the centre of what is stored: for each way to fit photographs, Python's answers."""

from dataclasses import asdict, replace

from classifier.network.export import to_onnx
from classifier.network.preprocessing import Preprocessing
from tests.conftest import small

import export_demo
import numpy as np
import pytest
import torch

from .demo import TOLERANCE, ask, assert_same, predict, read
from .samples import LOSSLESS

pytestmark = pytest.mark.slow

CLASSES = ["cat", "dog", "frog"]
STORED = Preprocessing(40, "crop", 32, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
FITS = ["crop", "pad", "squash"]
SHAPES = ["portrait", "landscape", "tall", "wide", "tiny", "one pixel high"]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = small("airbench_small", len(CLASSES), STORED.crop)
    model.preprocessing = STORED
    model.temperature = 0.005  # without training, it is as good as undecided otherwise
    model.module.eval()
    return model


@pytest.fixture(scope="module")
def parts(network, runtime_files):
    return {"onnx": to_onnx(network, "airbench_small"), **runtime_files}


@pytest.fixture(params=[(fit, "bilinear") for fit in FITS] + [("crop", "bicubic")], ids="-".join)
def preprocessing(request):
    fit, interpolation = request.param
    return replace(STORED, fit=fit, interpolation=interpolation)


@pytest.fixture
def demo(page, parts, preprocessing, tmp_path):
    data = {"classes": CLASSES, "preprocessing": asdict(preprocessing), "accuracy": 1.0, "recall": [], "gallery": []}
    path = tmp_path / "demo.html"
    html = export_demo.fill_page("Which?", data, {}, {"gallery_note": "", "hint": "", "footer": ""})
    path.write_text(export_demo.embed(html, parts), encoding="utf-8")
    page.goto(path.as_uri())
    page.get_by_text("The model is ready.").wait_for(timeout=60_000)
    return page


def test_the_model_sees_and_says_what_it_does_in_python(demo, network, preprocessing):
    files = [LOSSLESS[name]() for name in SHAPES]
    for data, answer in zip(files, ask(demo, *files), strict=True):
        seen, said = predict(network, preprocessing, data)
        assert_same(read(answer), dict(zip(CLASSES, said, strict=True)))
        pixels = answer.locator("canvas").evaluate("c => [...c.getContext('2d').getImageData(0, 0, 32, 32).data]")
        shown = np.array(pixels).reshape(32, 32, 4)[..., :3].transpose(2, 0, 1)
        assert np.array_equal(shown, seen)
        assert "as the model sees it: 32 × 32 pixels" in answer.text_content()


def test_another_fit_would_be_noticed(network):
    answers = [predict(network, replace(STORED, fit=fit), LOSSLESS["landscape"]())[1][0] for fit in FITS]
    assert np.diff(sorted(answers)).min() > 100 * TOLERANCE
