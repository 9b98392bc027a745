"""demo.html without its model: the rest of the page works, whatever the classes are called."""

from dataclasses import asdict
from pathlib import Path

from classifier.network.preprocessing import Preprocessing

import export_demo
import numpy as np
import pytest
from offline_page.assemble import data_uri

pytestmark = pytest.mark.slow

NAMES = ["</script><script>alert(1)</script>", 'a "quoted" & <b>bold</b> ' + 20 * "long", "猫 é", "7"]


@pytest.fixture
def gallery(page, tmp_path):
    return open_gallery(page, tmp_path, size=8)


def open_gallery(page, folder: Path, size: int):
    """A page without a model, with right and wrong answers of the classes NAMES, for images of `size` pixels."""
    image = data_uri(np.zeros((3, size, size), np.uint8), export_demo.COARSE, export_demo.THUMBNAIL)
    pairs = [(NAMES[0], NAMES[0]), (NAMES[0], NAMES[1]), (NAMES[1], NAMES[1]), (NAMES[2], NAMES[3])]
    data = {
        "classes": NAMES,
        "preprocessing": asdict(Preprocessing(size, "crop", size, "bilinear", (0.5,) * 3, (0.5,) * 3)),
        "coarse": size <= export_demo.COARSE,
        "accuracy": 0.5,
        "recall": [[name, 0.5] for name in NAMES],
        "gallery": [{"image": image, "label": a, "prediction": b, "confidence": 0.7} for a, b in pairs],
    }
    notes = {"gallery_note": NAMES[0], "hint": NAMES[2], "footer": NAMES[1]}
    path = folder / "page.html"
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


@pytest.mark.parametrize(("size", "shown"), [(8, "pixelated"), (96, "pixelated"), (224, "auto")])
def test_small_images_are_shown_pixel_by_pixel_and_photographs_smoothly(page, tmp_path, size, shown):
    image = open_gallery(page, tmp_path, size).locator("#pictures img").first
    assert image.evaluate("image => getComputedStyle(image).imageRendering") == shown


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
