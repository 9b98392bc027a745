"""A dataset of train and val alone, without giving up a part of train: from prepare to notebooks and comparisons."""

import json
import shutil

from classifier.results.predictions import NO_TEST
from tests.clones import Clone, copy_clone

import pandas as pd
import pytest

from .test_notebooks import execute

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")]  # dvc's own


@pytest.fixture(scope="module")
def untested(finished, tmp_path_factory) -> Clone:
    """The digits without their test split, and nothing held back for one; `baseline` is the result with it."""
    clone = copy_clone(finished, tmp_path_factory.mktemp("untested"))
    clone.use_remote(clone.path.parent / "remote")
    shutil.rmtree(clone.path / "data" / "test")
    clone.edit("params.yaml", "test_fraction: 0.2", "test_fraction: 0")
    clone.run("dvc", "add", "--quiet", "data")
    assert clone.repro() == ["prepare", "train", "evaluate"]
    assert clone.would_run() == []
    clone.commit("no test")
    clone.run("dvc", "push", "--quiet")
    return clone


def test_all_images_are_used_and_results_are_those_of_val(untested):
    splits = json.loads((untested.path / "prepared" / "dataset.json").read_text())["splits"]
    listed = pd.read_csv(untested.path / "prepared" / "images.csv")
    metrics = json.loads((untested.path / "metrics.json").read_text())
    assert {name: split["count"] for name, split in splits.items()} == {"train": 1079, "val": 359, "test": 0}
    assert len(list((untested.path / "data").rglob("*.png"))) == 1079 + 359
    assert list(metrics) == ["val", "note"]
    answers = pd.read_csv(untested.path / "predictions.csv")
    assert answers["path"].tolist() == listed.loc[listed["split"] == "val", "path"].tolist()
    assert (answers["label"] == answers["prediction"]).mean() == pytest.approx(metrics["val"]["accuracy"], abs=1e-5)


def test_the_notebooks_show_val_and_say_so(untested):
    found, printed = execute(
        untested,
        "predictions",
        {"metrics": "metrics.to_dict()", "images": "len(images)", "before": "before", "split": "run.split"},
    )
    metrics = json.loads((untested.path / "metrics.json").read_text())["val"]
    assert NO_TEST in printed
    assert "baseline was measured on other images than workspace." in printed
    assert list(found["metrics"]) == ["val"]
    assert found["metrics"]["val"]["accuracy"] == metrics["accuracy"]
    assert (found["images"], found["before"], found["split"]) == (359, None, "val")
    counts, _ = execute(untested, "explore", {"splits": "list(counts)"}, {"EPOCHS = 4": "EPOCHS = 1"})
    assert counts["splits"] == ["train", "val"]


def test_the_page_to_present_asks_the_model_about_validation_images(untested):
    program = (
        "from notebooks.results import load_model, load_results; results = load_results(); ask = load_model(results); "
        "print(results.split, len(results.images), ask(results.images[0])[1].idxmax())"
    )
    answer = pd.read_csv(untested.path / "predictions.csv")["prediction"][0]
    assert untested.run("python", "-c", program).splitlines()[-1] == f"val 359 {answer}"


def test_comparisons_with_a_result_that_has_a_test_split_say_so_and_do_not_fail(untested):
    said = "Nothing was held back for a test in "
    assert "nothing was held back for a test" in untested.run("dvc", "metrics", "diff", "baseline", "HEAD")
    output = untested.run("python", "scripts/compare.py", "baseline", "HEAD")
    assert f"Note: {said}HEAD" in output
    assert "| val.accuracy " in output
    gate = untested.run("python", "scripts/gate.py", "baseline", "--margin", "1")
    assert "# Gate passed" in gate
    assert f"{said}workspace" in gate
    refused = untested.run("python", "scripts/gate.py", "baseline", "--metric", "test.accuracy", check=False)
    assert "- test.accuracy is to decide, but nothing was held back for a test" in refused
