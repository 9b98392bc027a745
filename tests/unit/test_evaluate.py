"""evaluate.py: its tables and pictures."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import evaluate
import prepare
import train
from classifier.data.description import load_description
from classifier.data.prepared import map_split
from classifier.errors import InputError
from classifier.network.predictor import Predictor
from classifier.paths import CHECKPOINT
from classifier.results.plots import image_grid
from classifier.results.predictions import NO_TEST, is_right, load_predictions, require_prepared, require_same_model

import numpy as np
import pandas as pd
import pytest
from PIL import Image

CLASSES = ["cat", "dog", "frog"]
OUTPUTS = [
    "metrics.json",
    "plots/confusion.csv",
    "plots/mistakes.png",
    "plots/per_class.csv",
    "plots/predictions.png",
    "plots/reliability.csv",
    "predictions.csv",
]


@pytest.fixture
def trained(workspace, small_dataset, params):
    """A folder in which prepare.py and train.py have run."""
    small_dataset()
    Path("params.yaml").write_text(params())
    prepare.main()
    train.main()
    return workspace


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)


def test_predictions_have_a_row_per_test_image_with_its_path_and_probabilities(trained):
    evaluate.main()
    table = pd.read_csv("predictions.csv")
    assert list(table.columns) == ["index", "path", "label", "prediction", "confidence", "cat", "dog", "frog"]
    assert table["path"].tolist() == [f"test/{name}/{i:03}.png" for name in ("cat", "dog", "frog") for i in range(4)]
    assert (table["label"] == table["path"].str.split("/").str[1]).all()
    probabilities = table[["cat", "dog", "frog"]]
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (table["prediction"] == probabilities.idxmax(1)).all()
    assert np.allclose(table["confidence"], probabilities.max(axis=1))


def test_the_metrics_agree_with_the_predictions(trained):
    evaluate.main()
    metrics = json.loads(Path("metrics.json").read_text())
    table = pd.read_csv("predictions.csv")
    right = table["label"] == table["prediction"]
    assert list(metrics) == ["val", "test"]
    assert metrics["test"]["accuracy"] == pytest.approx(right.mean(), abs=1e-5)
    assert metrics["test"]["recall"] == pytest.approx(right.groupby(table["label"]).mean().to_dict(), abs=1e-5)
    assert pd.read_csv("plots/per_class.csv")["images"].sum() == len(table)
    assert pd.read_csv("plots/reliability.csv")["count"].sum() == len(table)


@pytest.mark.parametrize("tta", ["none", "flip+shift"])
def test_evaluating_twice_writes_the_same_bytes_and_says_by_how_many_views(trained, params, capsys, tta):
    Path("params.yaml").write_text(params({"evaluate.tta": tta}))
    capsys.readouterr()
    evaluate.main()
    assert ("several views of an image (evaluate.tta: flip+shift)" in capsys.readouterr().out) == (tta != "none")
    first = {name: Path(name).read_bytes() for name in OUTPUTS}
    evaluate.main()
    assert {name: Path(name).read_bytes() for name in OUTPUTS} == first


def test_a_checkpoint_of_other_classes_is_refused(trained):
    for split in ("train", "test"):
        Path(f"data/{split}/frog").rename(f"data/{split}/toad")
    prepare.main()
    with pytest.raises(InputError, match=r"only in the checkpoint: \['frog'\], only in the dataset: \['toad'\]"):
        evaluate.main()


def test_mutant_without_the_check_of_classes_measures_the_wrong_ones(trained, monkeypatch):
    evaluate.main()
    before = json.loads(Path("metrics.json").read_text())["test"]["recall"]
    monkeypatch.setattr(evaluate, "require_same_classes", lambda *_: None)
    for split in ("train", "test"):
        Path(f"data/{split}/frog").rename(f"data/{split}/ape")  # now the first class, not the last
    prepare.main()
    evaluate.main()
    assert json.loads(Path("metrics.json").read_text())["test"]["recall"] != before


def test_a_checkpoint_of_another_image_size_is_refused(trained, params):
    Path("params.yaml").write_text(params({"prepare.image_size": 20}))
    prepare.main()
    with pytest.raises(InputError, match=r"trained on 16-pixel images \(crop\), prepared/ holds 20-pixel"):
        evaluate.main()


def test_a_model_without_mistakes_is_drawn_too(workspace):
    predictions = pd.DataFrame(
        {"index": [0, 1], "label": ["cat", "dog"], "prediction": ["cat", "dog"], "confidence": [0.9, 0.8]}
    )
    evaluate.draw_grids(images(2), predictions, "test")
    for name in ("predictions", "mistakes"):
        Image.open(f"plots/{name}.png").load()


def test_the_picture_of_mistakes_shows_the_most_confident_ones_first(workspace, monkeypatch):
    drawn = []
    monkeypatch.setattr(evaluate, "image_grid", lambda _, *columns: drawn.append(list(columns[2])) or b"")
    predictions = pd.DataFrame(
        {"index": range(4), "label": ["cat"] * 4, "prediction": ["dog", "cat", "dog", "dog"]}
        | {"confidence": [0.5, 0.99, 0.9, 0.7]}
    )
    evaluate.draw_grids(images(4), predictions, "test")
    assert drawn == [[0.5, 0.99, 0.9, 0.7], [0.9, 0.7, 0.5]]


@pytest.mark.parametrize("count", [0, 1, 8, 11])
def test_a_grid_is_a_png_of_the_same_bytes_each_time(count):
    arguments = (images(count), ["cat"] * count, ["cat", "dog"] * count, [0.5] * count, "A title")
    first = image_grid(*arguments)
    picture = Image.open(io.BytesIO(first))
    picture.load()
    assert picture.format == "PNG"
    assert min(picture.size) > 100
    assert image_grid(*arguments) == first


def test_class_names_are_drawn_as_they_are():
    names = ["US$", "$x^$", "a_b", "50%", "{"]
    image_grid(images(5), names, names[::-1], [0.5] * 5, "A title")


def test_the_results_of_one_model_are_never_shown_for_another(trained, params):
    evaluate.main()
    predictions, images = load_predictions(), map_split("test", load_description()).images
    require_same_model(predictions, images, CLASSES, Predictor(CHECKPOINT))
    with pytest.raises(InputError, match=r"predictions\.csv is not what models/classifier\.safetensors says"):
        require_same_model(predictions, images[::-1], CLASSES, Predictor(CHECKPOINT))
    Path("params.yaml").write_text(params({"train.seed": 1}))
    train.main()
    with pytest.raises(InputError, match="run `dvc repro`"):
        require_same_model(predictions, images, CLASSES, Predictor(CHECKPOINT))


def test_predictions_for_other_images_than_those_prepared_are_noticed(trained, params):
    evaluate.main()
    predictions = load_predictions()
    assert require_prepared(predictions) == "test"
    Path("data/test/cat/000.png").rename("data/test/cat/other.png")
    prepare.main()
    with pytest.raises(InputError, match="is about other images than prepared/"):
        require_prepared(predictions)


# Without a test split


@pytest.fixture
def untested(workspace, small_dataset, params):
    """A folder in which prepare.py and train.py have run, and nothing was held back for a test."""
    small_dataset(test=0)
    Path("params.yaml").write_text(params({"prepare.test_fraction": 0}))
    prepare.main()
    train.main()
    return workspace


def test_without_a_test_split_all_results_are_those_of_val(untested):
    evaluate.main()
    metrics, table = json.loads(Path("metrics.json").read_text()), load_predictions()
    right = table["label"] == table["prediction"]
    assert list(metrics) == ["val", "note"]
    assert metrics["val"]["accuracy"] == pytest.approx(right.mean(), abs=1e-5)
    assert metrics["val"]["recall"] == pytest.approx(right.groupby(table["label"]).mean().to_dict(), abs=1e-5)
    assert require_prepared(table) == "val"
    assert len(table) == len(map_split("val", load_description()).labels) == 6
    assert pd.read_csv("plots/per_class.csv")["images"].tolist() == [2, 2, 2]
    assert pd.read_csv("plots/reliability.csv")["count"].sum() == 6


def test_without_a_test_split_every_number_comes_with_a_word_about_it(untested, monkeypatch, capsys):
    titles = []
    monkeypatch.setattr(evaluate, "image_grid", lambda *arguments: titles.append(arguments[-1]) or b"")
    capsys.readouterr()
    evaluate.main()
    printed = capsys.readouterr().out
    assert f"note: {NO_TEST}\n" in printed
    assert "test: " not in printed.replace(NO_TEST, "")
    assert json.loads(Path("metrics.json").read_text())["note"] == evaluate.NOTE == "nothing was held back for a test"
    assert "of the validation images are classified correctly" in titles[0]
    assert all(title.endswith(evaluate.NOTE) for title in titles)


def test_with_a_test_split_nothing_is_said_of_one_that_is_missing(trained, monkeypatch, capsys):
    titles = []
    monkeypatch.setattr(evaluate, "image_grid", lambda *arguments: titles.append(arguments[-1]) or b"")
    evaluate.main()
    assert "held back" not in capsys.readouterr().out + "".join(titles) + Path("metrics.json").read_text()


def test_another_empty_file_in_the_place_of_the_test_split_is_noticed(untested):
    path = Path("prepared/test.safetensors")
    path.write_bytes(path.read_bytes().replace(b"U8", b"I8"))
    with pytest.raises(InputError, match=r"prepared/test\.safetensors is not the file that"):
        evaluate.main()


def test_without_a_test_split_what_wandb_gets_is_called_val(untested):
    run = pytest.importorskip("classifier.tracking.run")
    evaluate.main()
    logged: dict = {}
    run.log_evaluation(SimpleNamespace(summary={}, log=logged.update, log_artifact=lambda artifact: None))
    mistakes = {"val/mistakes"} if (~is_right(load_predictions())).any() else set()
    assert logged.keys() == {"val/per_class", "val/confusion_matrix"} | mistakes


def test_without_a_mistake_the_picture_of_mistakes_says_so(workspace, monkeypatch):
    titles = []
    monkeypatch.setattr(evaluate, "image_grid", lambda *arguments: titles.append(arguments[-1]) or b"")
    answers = pd.DataFrame(
        {"index": [0, 1], "path": ["a", "b"], "label": ["cat", "dog"], "prediction": ["cat", "dog"], "confidence": 0.9}
    )
    evaluate.draw_grids(np.zeros((2, 3, 4, 4), np.uint8), answers, "test")
    assert titles == ["100.0% of the test images are classified correctly", "No answer is wrong"]
