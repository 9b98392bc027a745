"""scripts/export_demo.py: the model as ONNX, and what the gallery shows."""

import base64
import gzip
import io
import sys
from dataclasses import replace
from types import SimpleNamespace

from classifier.errors import InputError
from classifier.network.checkpoint import Metadata
from classifier.network.export import round_weights, to_onnx
from classifier.network.inference import batch_size
from classifier.network.network import Network
from tests.conftest import small

import export_demo
import numpy as np
import pandas as pd
import pytest
import torch
from offline_page.assemble import compress, data_uri
from PIL import Image
from torch import nn

IMAGES = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def network(name: str) -> Network:
    torch.manual_seed(0)
    model = small(name, 3, 16).eval()
    with torch.no_grad():
        for p in model.module.parameters():  # not the zeros and ones that networks start from
            p.add_(0.01 * torch.randn_like(p))
    return model


def probabilities(model: Network) -> np.ndarray:
    with torch.inference_mode():
        return model(model.normalize(IMAGES)).softmax(1).numpy()


@pytest.mark.slow  # PyTorch's exporter takes seconds
@pytest.mark.parametrize("name", ["airbench_small", "resnet18"])
def test_the_onnx_model_answers_as_the_network_does_and_takes_two_bytes_a_weight(name):
    reference = pytest.importorskip("onnx.reference")
    model = round_weights(network(name))
    exported = to_onnx(model, name)
    session = reference.ReferenceEvaluator(exported)
    answers = [session.run(None, {session.input_names[0]: image[None].numpy()})[0][0] for image in IMAGES]
    assert np.allclose(answers, probabilities(model), atol=1e-5)
    weights = sum(p.numel() for p in model.module.parameters())
    assert len(exported) < 2.2 * weights + 100_000


@pytest.mark.slow
def test_weights_that_sixteen_bits_do_not_hold_are_exported_in_full():
    model = network("airbench_small")
    assert len(to_onnx(model, "airbench_small")) > 4 * sum(p.numel() for p in model.module.parameters())


@pytest.mark.slow
def test_a_network_that_onnx_cannot_express_is_refused_by_name():
    class Restless(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :3] if x.sum() > 0 else x.flatten(1)[:, 3:6]

    with pytest.raises(InputError, match="the network restless cannot be exported to ONNX: "):
        to_onnx(Network(Restless(), nn.Identity(), network("airbench_small").preprocessing), "restless")


def test_rounding_leaves_the_model_itself_as_it_was():
    model = network("airbench_small")
    before = probabilities(model)
    rounded = round_weights(model)
    assert np.array_equal(probabilities(model), before)
    assert not np.array_equal(probabilities(rounded), before)


def test_short_weights_are_used_where_the_answers_stay_the_same(capsys):
    model = network("airbench_small")
    assert export_demo.choose_weights(model, IMAGES.numpy(), "test") is not model
    assert "they are used" in capsys.readouterr().out


def test_weights_too_large_for_sixteen_bits_are_kept(capsys):
    model = network("airbench_small")
    with torch.no_grad():
        model.module.groups[0].conv2.weight.mul_(1e6)  # the norm behind it makes up for that
        model.module.groups[0].norm2.running_var.mul_(1e12)
    assert export_demo.choose_weights(model, IMAGES.numpy(), "test") is model
    assert "those of 32 bits are kept" in capsys.readouterr().out


def test_weights_are_chosen_in_batches_that_fit_the_size_of_the_images(monkeypatch):
    """Memory: 200 photographs at once would take gigabytes."""
    model, seen = network("airbench_small"), []
    model.preprocessing = replace(model.preprocessing, size=256, crop=224)

    def predict_logits(network, batches, dtype):
        seen.extend(len(batch) for batch in batches)
        return torch.zeros(200, 3)

    monkeypatch.setattr(export_demo, "predict_logits", predict_logits)
    export_demo.choose_weights(model, np.broadcast_to(IMAGES[0, :, :1, :1].numpy(), (1000, 3, 256, 256)), "test")
    assert max(seen) == batch_size(model) <= 40
    assert sum(seen) == 2 * 200, "with weights of 32 bits and of 16"


@pytest.mark.parametrize(
    ("fit", "crop", "said"),
    [
        ("crop", 16, "the sides are cut off to make a square."),
        ("crop", 12, "the sides are cut off to make a square."),
        ("pad", 16, "with grey beside it to make a square."),
        ("pad", 12, "with grey beside it to make a square. It leaves a narrow edge out."),
        ("squash", 12, "squeezed to make a square. It leaves a narrow edge out."),
    ],
)
def test_the_page_says_what_becomes_of_a_photograph_and_what_the_network_sees(fit, crop, said, monkeypatch):
    wanted = replace(network("airbench_small").preprocessing, fit=fit, crop=crop)
    monkeypatch.setattr(export_demo, "load_params", lambda stage: SimpleNamespace(tta="none"))
    monkeypatch.setattr(export_demo, "sha256", lambda path: "0" * 64)
    notes = export_demo.notes(Metadata("airbench_small", ["cat", "dog"], wanted), predictions(), predictions(), "test")
    assert notes["hint"].endswith(said)
    assert f"Network airbench_small, {crop} × {crop} pixels, " in notes["footer"]


def predictions() -> pd.DataFrame:
    """300 cats and 100 dogs; every tenth answer is wrong."""
    table = pd.DataFrame({"index": range(400), "label": ["cat"] * 300 + ["dog"] * 100, "confidence": 0.8})
    wrong = np.where(table["label"] == "cat", "dog", "cat")
    return table.assign(prediction=np.where(table["index"] % 10 == 0, wrong, table["label"]))


def test_the_gallery_has_as_many_right_as_wrong_answers_of_each_class():
    chosen = export_demo.choose_images(predictions(), 24)
    right = chosen["label"] == chosen["prediction"]
    assert chosen.groupby(["label", right]).size().tolist() == [6, 6, 6, 6]
    assert chosen["index"].is_monotonic_increasing


def test_the_gallery_is_from_anywhere_in_the_test_split():
    chosen = export_demo.choose_images(predictions(), 40)
    cats = chosen.loc[(chosen["label"] == "cat") & (chosen["prediction"] == "cat"), "index"]
    assert np.histogram(cats, bins=3, range=(0, 300))[0].min() >= 1


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, 1), (1000, 400)])
def test_the_gallery_never_has_more_images_than_asked_for_or_than_there_are(count, shown):
    assert len(export_demo.choose_images(predictions(), count)) == shown


@pytest.mark.parametrize(("size", "kind"), [(32, "png"), (96, "png"), (128, "jpeg"), (512, "jpeg")])
def test_large_images_are_embedded_as_small_ones(size, kind):
    noise = np.random.default_rng(0).integers(0, 256, (3, size, size), dtype=np.uint8)
    uri = data_uri(noise, export_demo.COARSE, export_demo.THUMBNAIL)
    assert uri.startswith(f"data:image/{kind};base64,")
    assert len(uri) < 40_000, "bytes, of noise"
    shown = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert shown.size == (min(size, 160),) * 2


def test_text_cannot_leave_the_script_that_it_stands_in():
    name = "</script><!--<script>"
    page = export_demo.fill_page(
        name, {"classes": [name]}, {name: name}, {"gallery_note": name, "hint": name, "footer": name}
    )
    assert name not in page


def test_packing_is_reversible_and_repeats_itself():
    data = b"weights" * 1000
    assert gzip.decompress(base64.b64decode(compress(data))) == data
    assert compress(data) == compress(data)


@pytest.mark.parametrize("count", ["-1", "100000"])
def test_a_gallery_of_impossible_size_is_refused_before_any_work(workspace, monkeypatch, count):
    monkeypatch.setattr(sys, "argv", ["export_demo.py", f"--images={count}"])
    with pytest.raises(InputError, match="--images must be between 0 and 2000"):
        export_demo.main()
