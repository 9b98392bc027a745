"""The parts of notebooks/page.py, without a browser; tests/browser has the rest."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import Client
from threading import Thread
from types import SimpleNamespace

from classifier.errors import InputError
from classifier.network.checkpoint import Metadata
from classifier.network.preprocessing import Preprocessing
from classifier.results.predictions import NO_TEST, parse_predictions
from notebooks import answering, markup, page
from notebooks.results import Results, load_model

import ipywidgets as widgets
import numpy as np
import pandas as pd
import pytest
from ipywidgets.widgets.widget import _instances
from present import LARGEST_UPLOAD

NASTY = "<script>alert(1)</script>"


@pytest.fixture
def results():
    """Three test images of two classes, one of them with a name that is HTML."""
    columns = ["index", "path", "label", "prediction", "confidence", "cat", NASTY]
    rows = [(0, "a", "cat", "cat", 0.9, 0.9, 0.1), (1, "b", NASTY, "cat", 0.7, 0.7, 0.3)]
    table = pd.DataFrame([*rows, (2, "c", NASTY, NASTY, 0.6, 0.4, 0.6)], columns=columns)
    answers = parse_predictions(table.to_csv(index=False).encode(), "predictions.csv")
    return Results(answers, np.zeros((3, 3, 4, 4), dtype=np.uint8), "test")


def find(widget: widgets.Widget, kind: type) -> list:
    found = [widget] if isinstance(widget, kind) else []
    return found + [hit for child in getattr(widget, "children", ()) for hit in find(child, kind)]


def test_names_of_classes_are_text_and_never_html(results, monkeypatch):
    monkeypatch.setattr(page, "load_model", lambda results: None)
    monkeypatch.setattr(page, "comparison", lambda results: widgets.HTML())
    shown = "".join(w.value for part in page.parts(results) for w in find(part, widgets.HTML))
    probabilities = pd.Series([0.2, 0.8], ["cat", NASTY])
    shown += markup.answer(results.answers, "test", results.images[0], probabilities, NASTY)
    shown += markup.before_and_after(results.answers, results.answers, NASTY)
    assert "&lt;script&gt;" in shown
    assert "<script" not in shown


def test_without_a_test_split_the_page_says_so_and_calls_no_image_a_test_image(results, monkeypatch):
    monkeypatch.setattr(page, "load_model", lambda results: None)
    monkeypatch.setattr(page, "comparison", lambda results: widgets.HTML())
    for split, said in {"test": False, "val": True}.items():
        parts = page.parts(replace(results, split=split))
        shown = "".join(w.value for part in parts for w in find(part, widgets.HTML))
        shown += "".join(w.tooltip or "" for part in parts for w in find(part, widgets.Button))
        shown += markup.answer(results.answers, split, results.images[0], pd.Series([0.2, 0.8], ["cat", "dog"]))
        assert (NO_TEST in shown) == ("alidation image 1" in shown) == ("validation images and got" in shown) == said
        assert ("test image" in shown.lower()) != said


def test_a_model_that_cannot_be_used_is_said_and_not_passed_over(results, monkeypatch):
    def load_model(results):
        raise InputError("models/classifier.safetensors is damaged: run `dvc checkout`.")

    monkeypatch.setattr(page, "load_model", load_model)
    part = page.question(results)
    find(part, widgets.Button)[0].click()
    assert "models/classifier.safetensors is damaged" in find(part, widgets.HTML)[-1].value


def test_of_an_image_the_part_is_shown_that_the_model_sees(results, monkeypatch):
    preprocessing = Preprocessing(16, "pad", 12, "bilinear", (0.5,) * 3, (0.5,) * 3)
    given = []

    class Model:
        metadata = Metadata("airbench", results.classes, preprocessing)

        def __call__(self, images):
            given.append(images)
            return np.array([[0.9, 0.1]])

    monkeypatch.setattr("classifier.config.load_params", lambda stage: SimpleNamespace(tta="none", precision="fp32"))
    monkeypatch.setattr("classifier.network.predictor.Predictor", lambda *arguments: Model())
    monkeypatch.setattr("notebooks.results.require_same_model", lambda *arguments: None)
    photograph = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    shown, _ = load_model(results)(photograph)
    assert np.array_equal(given[0], photograph[None]), "a whole stored image: the network cuts it itself"
    assert np.array_equal(shown, photograph[:, 2:14, 2:14])


def test_of_many_classes_the_first_are_listed_and_the_others_unfold():
    table = markup.table("Classes", [markup.row(f"class {i}", "", "") for i in range(100)])
    assert table.index("class 11<") < table.index("<details>") < table.index("class 12<")
    assert "88 more" in table
    assert "“class 19” and so on." in markup.introduction([f"class {i}" for i in range(100)])


def test_parts_that_are_replaced_are_let_go_of(results, monkeypatch):
    monkeypatch.setattr(page, "load_model", lambda results: None)
    monkeypatch.setattr(page, "comparison", lambda results: widgets.HTML())

    def alive():
        return {id for id, widget in _instances.items() if isinstance(widget, widgets.DOMWidget)}

    before = alive()
    parts = page.parts(results)
    assert alive() > before
    page.close(parts)
    assert alive() == before


@pytest.fixture
def shared(monkeypatch, tmp_path):
    """The process for all visitors, as a thread: it answers what FUNCTIONS has."""
    address = tmp_path / "socket"
    monkeypatch.setenv(answering.SOCKET, str(address))
    functions = {"model": refuse, "before": lambda: pd.DataFrame({"prediction": ["cat"]})}
    monkeypatch.setattr(answering, "FUNCTIONS", functions)
    Thread(target=answering.serve, args=[str(address)], daemon=True).start()
    while not address.exists():
        pass


def refuse(image):
    raise {b"damaged": ValueError, b"": ValueError, b"other": InputError}[image](f"{image.decode()} is refused")


def test_one_process_answers_for_all_visitors_with_values_and_with_the_errors_that_people_are_told(shared, results):
    assert list(answering.before()["prediction"]) == ["cat"]
    ask = answering.load_model(results)
    for image, kind in {b"damaged": ValueError, b"other": InputError}.items():
        with pytest.raises(kind, match=f"{image.decode()} is refused"):
            ask(image)
    with Client(os.environ[answering.SOCKET]) as visitor:
        visitor.send_bytes(b"")  # and leaves
    assert list(answering.before()["prediction"]) == ["cat"]


def test_a_process_that_does_not_answer_is_told(monkeypatch, results, tmp_path):
    monkeypatch.setenv(answering.SOCKET, str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="does not answer just now"):
        answering.load_model(results)(b"image")


def test_an_upload_whose_content_the_browser_has_held_back_is_told_with_the_limit(results, monkeypatch):
    monkeypatch.setattr(page, "load_model", lambda results: None)
    part = page.question(results)
    (upload,) = find(part, widgets.FileUpload)
    file = {"name": "large.tif", "type": "image/tiff", "size": 200_000_000, "content": memoryview(b"")}
    upload.value = [file | {"last_modified": datetime.now(UTC)}]
    said = find(part, widgets.HTML)[-1].value
    assert "large.tif has 200 MB" in said
    assert f"{LARGEST_UPLOAD // 10**6} MB" in said
