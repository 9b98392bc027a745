"""The page that scripts/present.py serves, as someone with a browser finds it."""

import io
import json
import re
import urllib.request

from tests.clones import Clone, copy_clone

import pandas as pd
import pytest
from PIL import Image

from .conftest import new_page
from .serving import ask, open_socket, serve, visit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shown(browser, versions, tmp_path_factory):
    """The clone that is shown, and the address of its page."""
    clone = copy_clone(versions, tmp_path_factory.mktemp("shown"))
    with serve(clone) as (url, *_):
        yield clone, url


@pytest.fixture
def clone(shown):
    return shown[0]


@pytest.fixture(scope="module")
def answering_page(shown, browser):
    with new_page(browser) as page:
        yield open_page(page, shown[1])


@pytest.fixture
def answering(shown, answering_page):
    """A page that several tests use: they leave it as it is, but for the images that it answers."""
    yield answering_page
    check_page(answering_page, shown[1])


@pytest.fixture
def opened(shown, page):
    """The page, opened for one test."""
    yield open_page(page, shown[1])
    check_page(page, shown[1])


def open_page(page, url: str):
    page.goto(url)
    page.wait_for_selector(".gallery img", timeout=60_000)
    return page


def check_page(page, url: str) -> None:
    """Whatever a test has done with the page, it must not complain nor ask other servers for anything."""
    assert page.errors == []
    elsewhere = [address for address in page.requested if not address.startswith((url, "data:", "blob:"))]
    assert elsewhere == []
    assert any("/voila/static/" in address for address in page.requested), "else nothing was recorded"


def upload(page, name: str, content: bytes) -> str:
    """Choose a file; returns what is then said of it."""
    said = page.locator(".question [role=status], .question [role=alert]")
    said.evaluate_all("all => all.forEach(element => element.remove())")  # what was said before
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose an image file").click()
    chooser.value.set_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})
    said.wait_for(timeout=60_000)
    return said.inner_text()


def encode(picture: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def predictions(clone: Clone) -> pd.DataFrame:
    return pd.read_csv(clone.path / "predictions.csv")


def test_it_opens_with_a_summary_that_agrees_with_the_metrics(answering, clone):
    accuracy = json.loads((clone.path / "metrics.json").read_text())["test"]["accuracy"]
    assert answering.title() == "What does the classifier see?"
    assert answering.get_by_text(f"it gets {100 * accuracy:.0f} right").is_visible()
    assert answering.get_by_text(f"Measured on {len(predictions(clone))} images").is_visible()
    assert answering.get_by_role("heading", level=1).count() == 1
    assert answering.locator(".examples button").count() == 10


def test_every_picture_is_drawn_and_has_a_text_for_those_who_cannot_see_it(answering):
    pictures = answering.locator("img").evaluate_all("all => all.map(i => [i.naturalWidth, i.alt])")
    assert len(pictures) == 24
    assert all(width == 16 and re.fullmatch(r"test image \d+", alt) for width, alt in pictures)


def test_an_uploaded_image_gets_the_answer_that_evaluate_gave(answering, clone):
    row = predictions(clone).iloc[42]
    said = upload(answering, "mine.png", (clone.path / "data" / row["path"]).read_bytes()).split()
    assert said.index(row["prediction"]) < said.index("possibilities")
    percent = int(re.search(rf"{row['prediction']}\s+(\d+)%", " ".join(said))[1])
    assert percent == pytest.approx(100 * row["confidence"], abs=2)


def test_a_test_image_is_answered_with_the_truth(opened, clone):
    opened.get_by_role("button", name="Test image 3", exact=True).click()
    answer = opened.locator(".answer")
    answer.wait_for(timeout=60_000)
    first = predictions(clone).groupby("label").nth(0).iloc[2]
    assert f"{'✓ It' if first['label'] == first['prediction'] else '✗ In fact it'} is {first['label']}." in (
        answer.inner_text()
    )


def test_the_gallery_shows_what_is_asked_for(opened, clone):
    table = predictions(clone)
    wrong = table[table["label"] != table["prediction"]].sort_values("confidence", ascending=False)
    opened.get_by_role("button", name="wrong", exact=True).click()
    opened.get_by_text(f"of {len(wrong)} image").first.wait_for()
    shown = opened.locator(".gallery figcaption").all_inner_texts()
    expected = [f"✗ {row.prediction}\nis {row.label}" for row in wrong.head(24).itertuples()]
    assert shown == expected

    sometimes = {row.label for row in table.itertuples() if row.label == row.prediction}
    label = next(name for name in wrong["label"] if name in sometimes)
    opened.get_by_label("Show", exact=True).select_option(label)
    mine = wrong[wrong["label"] == label]
    opened.get_by_text(f"of {len(mine)} image").first.wait_for()
    assert opened.locator(".gallery figure.wrong").count() == min(24, len(mine))

    opened.get_by_role("button", name="right", exact=True).click()
    right = table[(table["label"] == label) & (table["prediction"] == label)]
    opened.get_by_text(f"of {len(right)} images").wait_for()
    if len(right) > 24:
        opened.get_by_role("button", name="Show more").click()
        opened.locator(".gallery figure").nth(24).wait_for()
    assert opened.locator(".gallery figure.right").count() == len(right)
    assert set(opened.locator(".gallery figcaption").all_inner_texts()) == {f"✓ {label}"}


def animation() -> bytes:
    first, second = (Image.new("RGB", (40, 40), colour) for colour in ("black", "white"))
    return encode(first, "GIF", save_all=True, append_images=[second])


BAD = {
    "letter.txt": (lambda: b"Dear model, what is this?", "not an image"),
    "empty.png": (lambda: b"", "the file is empty"),
    "half.png": (lambda: encode(Image.effect_noise((64, 64), 50), "PNG")[:1000], "damaged"),
    "huge.png": (lambda: encode(Image.new("1", (20_000, 20_000)), "PNG"), "more than 100,000,000 pixels"),
    "<b>bold</b>.png": (lambda: b"no", "<b>bold</b>.png cannot be shown"),
}
GOOD = {
    "cmyk.jpg": lambda: encode(Image.new("CMYK", (40, 40), (0, 255, 255, 0)), "JPEG"),
    "animated.gif": animation,
    "50-megapixels.jpg": lambda: encode(Image.new("RGB", (8660, 5774), "gray"), "JPEG"),
    "transparent.png": lambda: encode(Image.new("RGBA", (40, 40), (0, 0, 0, 0)), "PNG"),
}


def test_what_is_no_usable_image_gets_a_kind_sentence_and_the_next_one_an_answer(answering):
    for name, (content, sentence) in BAD.items():
        said = upload(answering, name, content())
        assert said.startswith("Sorry: ")
        assert sentence in said
    for name, content in GOOD.items():
        assert "How it weighs the possibilities" in upload(answering, name, content())


def test_what_has_changed_since_the_baseline_is_told(answering, clone):
    answering.get_by_role("heading", name="Since baseline").wait_for(timeout=60_000)
    table = predictions(clone)
    now = (table["label"] == table["prediction"]).sum()
    assert answering.get_by_text(f"Right now: {now} of {len(table)}.").is_visible()


def test_it_can_be_used_with_the_keyboard_alone(opened):
    def focused() -> str:
        return opened.evaluate("document.activeElement.innerText")

    opened.keyboard.press("Tab")
    assert "Choose an image file" in focused()
    opened.keyboard.press("Tab")
    assert focused() == "Test image 1"
    opened.keyboard.press("Space")
    opened.locator(".answer").wait_for(timeout=60_000)
    opened.keyboard.press("Shift+Tab")
    with opened.expect_file_chooser():
        # An answer from the page says that it has heard, too, that choosers are to be caught.
        assert "Choose an image file" in focused()
        opened.keyboard.press("Enter")


def test_nothing_sticks_out_on_a_telephone_or_a_desktop(opened):
    opened.get_by_role("button", name="Test image 1", exact=True).click()
    opened.locator(".answer").wait_for(timeout=60_000)
    for width in (390, 1280):
        opened.set_viewport_size({"width": width, "height": 800})
        everything = opened.locator(".page *:visible")
        rights = everything.evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
        assert max(rights) <= width


def test_it_shows_new_results_without_being_opened_again(opened, clone):
    file = clone.path / "predictions.csv"
    text = file.read_text()
    table = pd.read_csv(io.StringIO(text), dtype=str)
    try:
        file.write_text(table.assign(prediction=table["label"]).to_csv(index=False))
        opened.get_by_text("It made no mistake").wait_for(timeout=30_000)
    finally:
        file.write_text(text)


def test_shared_on_a_network_it_wants_the_token(shown):
    with serve(shown[0], "--share") as (url, printed, _):
        token = re.search(r"token=(\w+)", printed())[1]
        assert "/login" in urllib.request.urlopen(url, timeout=60).url
        assert "/login" not in urllib.request.urlopen(f"{url}?token={token}", timeout=60).url
        port, name = int(url.split(":")[2].strip("/")), "models.example"  # any: who has the token may come
        kernel = visit(port, f"/?token={token}", Host=name)
        assert ask(port, f"/api/kernels/{kernel}")[0] == open_socket(port, kernel)[0] == 403
        assert ask(port, f"/api/kernels/{kernel}?token={token}")[0] == 200


def test_without_results_it_says_how_to_get_them(shown, tmp_path_factory):
    clone = copy_clone(shown[0], tmp_path_factory.mktemp("lacking"))
    (clone.path / "predictions.csv").unlink()
    output = clone.run("python", "scripts/present.py", "--no-browser", check=False)
    assert output == "error: predictions.csv not found: run `dvc repro`, or fetch results with `dvc pull`.\n"
