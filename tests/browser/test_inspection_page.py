"""The page of scripts/inspect_errors.py: what is ticked becomes commands, on a screen and on a phone."""

from classifier.data.duplicates import DECIDE, KEEP, REMOVE
from classifier.data.edits import AFTERWARDS
from classifier.network.gradcam import GRAD_CAM
from classifier.results.slices import compare_slices

import numpy as np
import pandas as pd
import pytest
from inspection_page.page import Page

AWKWARD = "<b>&\"'cat"  # a class may be called anything
PATHS = [f"train/{AWKWARD}/0.png", "train/dog/1.png", "val/dog/0.png"]


@pytest.fixture
def index(tmp_path):
    """An inspection of three images."""
    rng = np.random.default_rng(0)
    images = {split: rng.integers(0, 256, (2, 3, 16, 16), dtype=np.uint8) for split in ("train", "val", "test")}
    listed = pd.DataFrame({"split": ["train", "train", "val"], "index": ["0", "1", "0"], "path": PATHS})
    page = Page(listed, images, lambda image: image, files=True)
    doubts = {"split": "train", "label": AWKWARD, "suggested": "dog", "likely": True}
    doubts |= {"label_probability": 0.01, "suggested_probability": 0.9, "edit": "mv -n 'data/it'\\''s' data/dog"}
    page.add_labels(pd.DataFrame([{"path": PATHS[0]} | doubts]), 3, 96)
    copies = pd.DataFrame(
        {"group": [1, 1, 2, 2], "copies": "near-duplicates", "path": [*PATHS[:2], *PATHS[2:], PATHS[1]]}
    )
    copies = copies.assign(split=["train", "train", "val", "train"], advice=[DECIDE, DECIDE, KEEP, REMOVE])
    copies["class"] = [AWKWARD, "dog", "dog", "dog"]
    copies["edit"] = ["rm a", "rm b", "", "rm b"]
    page.add_duplicates(copies, 48)
    mistake = {"path": PATHS[2], "label": "dog", "prediction": AWKWARD, "confidence": 0.9, "label_doubted": True}
    mistake |= {"like_1": PATHS[0], "like_1_class": AWKWARD, "like_1_cosine": 0.875, "like_1_doubted": True}
    page.add_mistakes(pd.DataFrame([mistake]), 1, 40, rng.random((1, 16, 16)), GRAD_CAM, "val")
    answers = pd.DataFrame({"path": [PATHS[2]] * 40, "label": ["dog", "cat"] * 20, "confidence": 0.9})
    answers["prediction"] = ["cat"] * 40
    slices, members = compare_slices(answers, pd.DataFrame({"brightness": np.arange(40.0)}))
    page.add_slices(slices, [answers.iloc[part.wrong] for part in members], "validation image")
    page.write(tmp_path / "inspection" / "index.html", AFTERWARDS)
    return tmp_path / "inspection" / "index.html"


@pytest.mark.parametrize("width", [1280, 390])
def test_what_is_ticked_becomes_commands(page, index, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(index.as_uri())
    boxes, bar = page.locator("[data-edit]"), page.locator("#bar")
    assert boxes.count() == 4
    assert not bar.is_visible()
    boxes.nth(0).check()
    boxes.nth(2).check()
    boxes.nth(3).check()  # the same file in another part of the page
    assert page.locator("#commands").text_content() == "mv -n 'data/it'\\''s' data/dog\nrm b"
    assert page.locator("#chosen").text_content() == "2 edits chosen."
    assert page.locator("#afterwards").text_content() == "\n".join(AFTERWARDS)
    for box in range(4):
        boxes.nth(box).uncheck()
    assert not bar.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.errors == []
    assert page.requested == [index.as_uri()], "nothing else is loaded"


def test_the_page_says_what_was_found(page, index):
    page.goto(index.as_uri())
    text = page.locator("main").inner_text()
    assert f"is “{AWKWARD}” (1%),\nrather dog (90%)" in text
    assert "2 pictures are there more than once: 1 under two classes, 1 in two splits" in text
    assert (
        f"“dog” taken for {AWKWARD} (90%). Of the 1 most alike, 1 is “{AWKWARD}”, 0 “dog”. Its label is doubted" in text
    )
    assert "“dog”: 20 of 20 wrong, 100% [84%, 100%], of the rest 0.0%" in text
    links = page.locator("#labels .path a").evaluate_all("links => links.map(link => link.href)")
    assert links == [(index.parent.parent / "data" / PATHS[0]).as_uri()]
    loaded = page.locator("img").evaluate_all("images => images.every(image => image.decode && image.src.length > 50)")
    assert loaded
