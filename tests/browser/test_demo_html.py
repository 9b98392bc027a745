"""The exported page in a browser, from a file and without a network: it answers as Python does."""

import shutil
from pathlib import Path
from urllib.parse import urlsplit

from classifier.data.images import decode
from classifier.errors import InputError
from classifier.network.predictor import Predictor
from classifier.results.predictions import parse_predictions
from tests.clones import Clone, copy_clone, once

import export_demo
import numpy as np
import pytest
from demo_page import runtime
from PIL import Image

from .samples import LOSSLESS, ROUNDED, digit, encode

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-3  # of a probability
LOCAL = {"file", "blob", "data", "about"}  # addresses that need no network

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """A clone of the digits with demo.html in it. No test may change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "CACHE", ROOT / ".cache")  # fetched once for all tests
        try:
            runtime.fetch_runtime()
        except InputError as error:
            pytest.skip(str(error))

    def build(folder: Path) -> None:
        clone = copy_clone(finished, folder)
        shutil.copytree(ROOT / ".cache", clone.path / ".cache")
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
def expected(exported):
    """A function: the probability of each class, by name, that Python gives for an image file."""
    predictor = Predictor(exported.path / "models" / "classifier.safetensors", precision="fp32")  # as predict.py

    def predict(data: bytes) -> dict[str, float]:
        image = decode(data, predictor.metadata.preprocessing.size)
        return dict(zip(predictor.metadata.classes, predictor(image[None])[0].tolist(), strict=True))

    return predict


def ask(page, *files: bytes, name: str = "image") -> list:
    """Upload files; returns an element for each answer."""
    payloads = [{"name": f"{name}-{i}", "mimeType": "", "buffer": data} for i, data in enumerate(files)]
    page.locator("#files").set_input_files(payloads)
    page.locator("#answers > div:first-child .answer").nth(len(files) - 1).wait_for(timeout=120_000)
    return page.locator("#answers > div:first-child .answer").all()


def read(answer) -> dict[str, float]:
    """The probabilities that an answer lists, the highest first."""
    bars = answer.locator(".bars li").evaluate_all("all => all.map((bar) => [bar.dataset.name, bar.dataset.share])")
    assert bars, answer.text_content()
    return {name: float(share) for name, share in bars}


def assert_same(told: dict[str, float], expected: dict[str, float], tolerance: float) -> None:
    assert max(expected, key=expected.get) == next(iter(told))
    assert told == pytest.approx({name: expected[name] for name in told}, abs=tolerance)


def test_an_image_gets_the_answer_that_python_gives(demo, expected):
    files = {name: make() for name, make in (LOSSLESS | ROUNDED).items()}
    for (name, data), answer in zip(files.items(), ask(demo, *files.values()), strict=True):
        try:
            assert_same(read(answer), expected(data), TOLERANCE if name in LOSSLESS else 0.02)
        except AssertionError as error:
            pytest.fail(f"{name}: {error}")


def test_test_images_get_the_answers_that_python_gives(demo, exported, expected):
    paths = sorted((exported.path / "data" / "test").glob("*/*.png"))
    files = [path.read_bytes() for path in paths[:: max(1, len(paths) // 200)][:200]]
    assert len(files) >= 150
    for data, answer in zip(files, ask(demo, *files), strict=True):
        assert_same(read(answer), expected(data), TOLERANCE)


def test_fifty_megapixels_are_answered(demo, expected, tmp_path):
    picture = digit(710, 710).resize((7100, 7100), Image.Resampling.NEAREST)
    path = tmp_path / "large.png"
    path.write_bytes(encode(picture, compress_level=1))
    demo.locator("#files").set_input_files(path)
    answer = demo.locator(".answer")
    answer.wait_for(timeout=120_000)
    assert_same(read(answer), expected(path.read_bytes()), TOLERANCE)


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


# Without the model: the rest of the page works, whatever the classes are called.

NAMES = ["</script><script>alert(1)</script>", 'a "quoted" & <b>bold</b> ' + 20 * "long", "猫 é", "7"]


@pytest.fixture
def gallery(page, tmp_path):
    """A page without a model, with right and wrong answers of the classes NAMES."""
    image = export_demo.data_uri(np.zeros((3, 8, 8), np.uint8))
    pairs = [(NAMES[0], NAMES[0]), (NAMES[0], NAMES[1]), (NAMES[1], NAMES[1]), (NAMES[2], NAMES[3])]
    data = {
        "classes": NAMES,
        "size": 8,
        "accuracy": 0.5,
        "recall": [[name, 0.5] for name in NAMES],
        "gallery": [{"image": image, "label": a, "prediction": b, "confidence": 0.7} for a, b in pairs],
    }
    notes = {"gallery_note": NAMES[0], "footer": NAMES[1]}
    path = tmp_path / "page.html"
    path.write_text(export_demo.fill_page(NAMES[0], data, {NAMES[0]: NAMES[1]}, notes), encoding="utf-8")
    page.goto(path.as_uri())
    page.get_by_text("4 of 4 shown").wait_for()
    return page


def visible(page) -> list[str]:
    return [image.get_attribute("alt") for image in page.locator("#pictures img:visible").all()]


def test_the_gallery_is_filtered_by_class_and_verdict(gallery):
    a, b, c, d = NAMES
    assert visible(gallery) == [f"{a}, recognised", f"{a}, taken for {b}", f"{b}, recognised", f"{c}, taken for {d}"]
    gallery.get_by_label("wrong", exact=True).check()
    assert visible(gallery) == [f"{a}, taken for {b}", f"{c}, taken for {d}"]
    gallery.locator("#class").select_option(label=a)
    assert visible(gallery) == [f"{a}, taken for {b}"]
    gallery.get_by_label("right", exact=True).check()
    assert visible(gallery) == [f"{a}, recognised"]
    assert gallery.locator("#count").text_content() == "1 of 4 shown"


def test_names_are_shown_as_they_are_and_never_run(gallery):
    assert gallery.title() == gallery.locator("h1").text_content() == NAMES[0]
    assert gallery.locator("#class option").all_text_contents() == ["any class", *NAMES[:3]]
    assert gallery.locator("dt").text_content() == NAMES[0]
    assert gallery.locator("b").count() == 0


def test_a_model_that_cannot_start_is_told_and_takes_no_files(gallery):
    gallery.get_by_text("The model cannot run in this browser").wait_for()
    assert gallery.locator("#files").is_disabled()


def test_a_file_dropped_before_there_is_a_model_does_not_replace_the_page(gallery):
    prevented = """() => ["dragover", "drop"].map((name) => {
        const event = new DragEvent(name, { bubbles: true, cancelable: true, dataTransfer: new DataTransfer() });
        document.body.dispatchEvent(event);
        return event.defaultPrevented;
    })"""
    assert gallery.evaluate(prevented) == [True, True]


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_nothing_is_wider_than_the_screen(gallery, width):
    gallery.set_viewport_size({"width": width, "height": 800})
    assert gallery.evaluate("document.documentElement.scrollWidth") <= width


def test_the_browser_forbids_the_page_to_send_anything(browser, gallery):
    told = """() => new Promise((resolve) => {
        addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
        fetch("http://localhost:9/").catch(() => setTimeout(() => resolve("sent"), 500));
    })"""
    silent = browser.new_page()  # the browser also complains on the console
    silent.goto(gallery.url)
    assert silent.evaluate(told) == "connect-src"
    silent.close()
