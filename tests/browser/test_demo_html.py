"""The exported page in a browser, from a file and without a network: it answers as Python does."""

import shutil
from pathlib import Path
from urllib.parse import urlsplit

from classifier.data.description import load_description
from classifier.data.images import decode
from classifier.data.prepared import map_split
from classifier.network.checkpoint import load_checkpoint
from classifier.network.predictor import Predictor
from classifier.paths import CHECKPOINT
from classifier.results.predictions import parse_predictions
from tests.clones import Clone, copy_clone, once

import export_demo
import numpy as np
import pytest
from PIL import Image

from .conftest import CACHE
from .demo import LOCAL, TOLERANCE, ask, assert_same, predict, read
from .samples import LOSSLESS, ROUNDED, digit, encode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(finished, runtime_files, tmp_path_factory):
    """A clone of the digits with demo.html in it. No test may change it."""

    def build(folder: Path) -> None:
        clone = copy_clone(finished, folder)
        shutil.copytree(CACHE, clone.path / ".cache")
        clone.run("python", "scripts/export_demo.py")

    return Clone(once(tmp_path_factory, "exported", build) / "clone")


@pytest.fixture
def demo(page, exported):
    """The page, once the model in it is ready, without a network; it must not complain nor ask for anything outside."""
    page.context.set_offline(True)
    page.goto((exported.path / "demo.html").as_uri())
    page.get_by_text("The model is ready.").wait_for(timeout=60_000)
    yield page
    assert page.errors == []
    assert [url for url in page.requested if urlsplit(url).scheme not in LOCAL] == []


@pytest.fixture
def expected(exported, monkeypatch):
    """A function: the probability of each class, by name, that the weights in the page give in Python for a file."""
    monkeypatch.chdir(exported.path)
    network, metadata = load_checkpoint(CHECKPOINT)
    network = export_demo.choose_weights(network, map_split("test", load_description()).images, "test")

    def answer(data: bytes) -> dict[str, float]:
        _, probabilities = predict(network, metadata.preprocessing, data)
        return dict(zip(metadata.classes, probabilities, strict=True))

    return answer


def test_an_image_gets_the_answer_that_python_gives(demo, expected):
    files = {name: make() for name, make in (LOSSLESS | ROUNDED).items()}
    for (name, data), answer in zip(files.items(), ask(demo, *files.values()), strict=True):
        try:
            assert_same(read(answer), expected(data), TOLERANCE if name in LOSSLESS else 0.02)
        except AssertionError as error:
            pytest.fail(f"{name}: {error}")


def test_test_images_get_the_answers_of_the_checkpoint_within_a_tenth_of_a_percent(demo, exported):
    predictor = Predictor(exported.path / CHECKPOINT, precision="fp32")  # as predict.py
    paths = sorted((exported.path / "data" / "test").glob("*/*.png"))
    files = [path.read_bytes() for path in paths[:: max(1, len(paths) // 200)][:200]]
    assert len(files) >= 150
    probabilities = predictor(np.stack([decode(data, predictor.metadata.preprocessing.size) for data in files]))
    for expected, answer in zip(probabilities.tolist(), ask(demo, *files), strict=True):
        assert_same(read(answer), dict(zip(predictor.metadata.classes, expected, strict=True)), 1e-3)


def test_fifty_megapixels_are_answered(demo, expected, tmp_path):
    picture = digit(710, 710).resize((7100, 7100), Image.Resampling.NEAREST)
    path = tmp_path / "large.png"
    path.write_bytes(encode(picture, compress_level=1))
    demo.locator("#files").set_input_files(path)
    answer = demo.locator(".answer")
    answer.wait_for(timeout=120_000)
    assert_same(read(answer), expected(path.read_bytes()))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"hello, I am no image", "This is no image that the browser can read."),
        (b"", "The file is empty."),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "This is no image that the browser can read."),
        (encode(digit())[:40], "This is no image that the browser can read."),
    ],
    ids=["text", "empty", "svg", "cut off"],
)
def test_what_is_no_image_is_told_so_and_the_next_file_answered(demo, data, told):
    failed, answered = ask(demo, data, encode(digit()), name="<b>mine</b>")
    assert told in failed.text_content()
    assert "<b>mine</b>-0" in failed.text_content()
    assert read(answered)
    demo.get_by_text("1 of 2 answered, 1 could not be read.").wait_for()


def test_the_page_works_with_the_keyboard_alone(demo):
    demo.locator("nav a").last.focus()
    demo.keyboard.press("Tab")
    assert demo.evaluate("document.activeElement.id") == "files"
    demo.keyboard.press("Tab")
    assert demo.evaluate("document.activeElement.id") == "class"
    demo.keyboard.press("Tab")
    demo.keyboard.press("ArrowDown")
    demo.keyboard.press("ArrowDown")
    assert demo.locator("#pictures li.right:visible").count() == 0
    assert demo.locator("#pictures li.wrong:visible").count() > 0


def test_the_gallery_says_what_predictions_csv_says(demo, exported):
    predictions = parse_predictions((exported.path / "predictions.csv").read_bytes(), "predictions.csv")
    wrong = (predictions["label"] != predictions["prediction"]).sum()
    assert f"{wrong} of all {len(predictions)} answers are wrong" in demo.locator("#gallery > p").text_content()
    shown = demo.locator("#pictures li").all_text_contents()
    known = {
        f"✓ {row.prediction}{row.confidence:.1%}" if row.label == row.prediction else
        f"✗ {row.prediction}{row.confidence:.1%}, is {row.label}"
        for row in predictions.itertuples()
    }  # fmt: skip
    assert {text.replace(" %", "%") for text in shown} <= known
