"""scripts/inspect_errors.py finds what was planted in the digits, changes nothing, and its edits mend the data."""

import re
import shutil

from bench.planted import flip_labels, plant_copies, score
from classifier.data.layouts import open_dataset
from tests.clones import Clone, copy_clone

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted(finished, tmp_path_factory):
    """A clone whose data has flipped labels and copies, after `dvc repro` and an inspection; and what was planted."""
    clone = copy_clone(finished, tmp_path_factory.mktemp("planted"))
    rng = np.random.default_rng(0)
    copies = plant_copies(clone.path / "data", 5, rng)
    flipped = flip_labels(clone.path / "data", 0.05, rng, set(copies))
    clone.run("dvc", "add", "--quiet", "data")
    clone.run("dvc", "repro")
    clone.commit("planted")
    before = files(clone)
    said = clone.run("python", "scripts/inspect_errors.py")
    assert files(clone) == before, "an inspection changes nothing"
    return clone, flipped, copies, said


def files(clone: Clone) -> dict:
    """Every file of the clone but the inspection, with its time of change."""
    kept = (path for path in clone.path.rglob("*") if path.is_file() and "inspection" not in path.parts)
    return {path: path.stat().st_mtime_ns for path in kept if not {".git", "tmp", "__pycache__"} & set(path.parts)}


def test_what_was_planted_is_found(planted):
    clone, flipped, copies, _ = planted
    found = score(clone.path, flipped, copies)
    assert found["recall of copies"] == 1
    assert found["recall with these"] >= 0.85
    assert found["recall"] >= 0.5
    assert found["precision"] >= 0.7
    assert found["right class suggested"] >= 0.9


def test_the_tables_agree_with_the_results_and_with_what_is_said(planted):
    clone, _, _, said = planted
    tables = {
        name: pd.read_csv(clone.path / f"inspection/{name}.csv") for name in ("label_errors", "mistakes", "slices")
    }
    assert f"{int(tables['label_errors']['likely'].sum())} labels are likely wrong" in said
    assert f"{len(tables['mistakes'])} wrong answers on val" in said
    metrics = pd.read_json(clone.path / "metrics.json")["val"]
    images = open_dataset(clone.path / "data").splits["val"].count
    assert len(tables["mistakes"]) == round((1 - metrics["accuracy"]) * images)
    recalls = tables["slices"].set_index("slice")["share"]
    for name, recall in metrics["recall"].items():
        assert recalls[f"“{name}”"] == pytest.approx(1 - recall, abs=1e-4)
    like = tables["mistakes"]["like_1"]
    assert like.str.startswith("train/").all()
    assert (like.str.split("/").str[1] == tables["mistakes"]["like_1_class"]).all()
    page = (clone.path / "inspection" / "index.html").read_text()
    assert all(path in page for path in tables["mistakes"]["path"].head(48))


def test_edits_that_a_person_agrees_with_mend_the_data(planted, tmp_path):
    clone = copy_clone(planted[0], tmp_path)
    edits = clone.path / "inspection" / "edits.sh"
    clone.run("sh", "inspection/edits.sh")
    assert clone.run("dvc", "status", "data.dvc").strip().endswith("up to date.")
    edits.write_text(re.sub(r"(?m)^# (mv|rm|dvc add) ", r"\1 ", edits.read_text()))
    clone.run("sh", "inspection/edits.sh")
    data = clone.path / "data"
    assert not list(data.glob("train/*/planted-*")), "all copies are removed"
    truth = {path.rsplit("/", 1)[1]: was for path, was in planted[1].items()}
    now = {path.name: path.parent.name for path in data.glob("train/*/flipped-*")}
    assert now.keys() == truth.keys()
    assert sum(now[name] == truth[name] for name in truth) > len(truth) / 2
    assert "data.dvc" in clone.run("git", "status", "--porcelain")


def test_the_test_split_on_demand_with_a_caution(planted):
    clone = planted[0]
    said = clone.run("python", "scripts/inspect_errors.py", "--split", "test")
    assert "wrong answers on test" in said
    assert "They are of the test split" in (clone.path / "inspection" / "index.html").read_text()


def test_shards_are_inspected_and_how_to_edit_them_is_said(own):
    shutil.move(own.path / "data", own.path / "folders")
    own.run("python", "scripts/pack.py", "folders", "data")
    said = own.run("python", "scripts/inspect_errors.py", check=False)
    assert "error: prepared/ was made from other images than lie in data/: run `dvc repro`." in said
    own.run("dvc", "add", "--quiet", "data")
    own.run("dvc", "repro")
    said = own.run("python", "scripts/inspect_errors.py")
    assert "python scripts/unpack.py data unpacked && rm -r data && mv unpacked data" in said
    assert pd.read_csv(own.path / "inspection" / "label_errors.csv")["edit"].isna().all()
