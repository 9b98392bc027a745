"""scripts/board.py: which runs are found, how they are grouped, and what of them is in the page."""

import base64
import io
import json
import sys
from pathlib import Path

from classifier.errors import InputError
from classifier.results.significance import mean_interval
from classifier.runs.history import Commit, Record, collect
from classifier.runs.runs import Run
from tests.experiments import Repository, git

import board
import numpy as np
import pandas as pd
import pytest
from board_page import outputs
from board_page.outputs import Outputs, make_answers, read_curves, thumbnail
from board_page.rows import choose_metrics, flatten, make_rows, merge_twins
from dvc.repo import Repo
from offline_page.assemble import digest
from PIL import Image
from safetensors.numpy import load_file

EVIL = "</script><img src=x onerror=alert(1)>"


def write(images=20) -> dict:
    """What board.py puts into its page of the current folder: rows and answers."""
    records, notes = collect()
    with Repo() as repo:
        data, answers = board.describe(records, notes, Outputs(repo), images)
    return data | {"answers": answers}


def record(rev, seed=0, accuracy=0.9, names=None, metrics=None, **train):
    metrics = metrics or {"val.accuracy": accuracy, "test.accuracy": accuracy}
    run = Run(rev, {"train": {"lr": 0.1} | train}, {"train.py": "1"}, {"train.seed": seed}, metrics, False)
    return Record(run, Commit(f"{rev}000000", 0, ""), names or [rev])


def rows(*records):
    return make_rows(*merge_twins(list(records)))


@pytest.mark.parametrize("commits", [0, 1])
def test_no_run_at_all_is_a_sentence_in_the_page(workspace, monkeypatch, commits, capsys):
    Repository(workspace, 0)
    if commits:
        git("commit", "--quiet", "--allow-empty", "--message", "start")
    monkeypatch.setattr(sys, "argv", ["board.py"])
    board.main()
    assert board.NO_RUNS in (workspace / "board.html").read_text()
    assert board.NO_RUNS in capsys.readouterr().out


# Groups


def test_seeds_are_one_group_with_an_interval_a_range_or_neither(repository):
    data = write()
    assert [len(group["runs"]) for group in data["groups"]] == [3, 1, 3]
    accuracy = data["metrics"].index("test.accuracy")
    values = [data["runs"][i]["metrics"][accuracy] for i in data["groups"][0]["runs"]]
    expected = mean_interval(pd.DataFrame({"x": values})).loc["x"]
    assert data["groups"][0]["estimates"][accuracy] == pytest.approx(expected.tolist(), abs=1e-5)
    assert data["groups"][1]["estimates"] == []
    two = rows(record("a", 0, 0.8), record("b", 1, 0.9))
    assert two["groups"][0]["estimates"][0] == pytest.approx([0.85, 0.8, 0.9])
    same = rows(*(record(f"run{i}", i, 0.8) for i in range(3)))
    assert same["groups"][0]["estimates"][0] == [0.8, None, None], "no spread, no interval"


def test_the_same_run_twice_is_one_row_with_both_names():
    data = rows(record("v1"), record("copy"), record("other", 0, lr=0.2))
    assert [run["names"] for run in data["runs"]] == [["v1", "copy"], ["other"]]


def test_the_same_seed_with_other_metrics_is_a_row_that_is_not_counted():
    data = rows(record("here"), record("there", accuracy=0.91))
    assert [group["runs"] for group in data["groups"]] == [[0]]
    assert data["runs"][1]["note"].startswith("there has the seeds, parameters, data and code of here, but other")


def test_only_parameters_that_differ_have_values_for_each_run():
    data = rows(record("a"), record("b", lr=0.2, new=True), record("c", lr=0.2))
    assert data["params"] == ["train.lr", "train.new"]
    assert [run["params"] for run in data["runs"]] == [[0.1, None], [0.2, "true"], [0.2, None]]


def test_an_empty_section_says_nothing_beside_what_others_have_in_it():
    assert rows(record("a", w={}), record("b", w={"cat": 2.0}))["params"] == ["train.w.cat"]
    assert rows(record("a", w={}), record("b", w="balanced"), record("c", w={"cat": 2.0}))["params"][0] == "train.w"


def test_values_that_json_does_not_have_are_text():
    assert flatten({"a": {"b": float("nan"), "c": [1, 2], "d": None, "e": 1e-3, "f": {}}}) == {
        "a.b": "NaN", "a.c": "[1, 2]", "a.d": "null", "a.e": 0.001, "a.f": "{}",
    }  # fmt: skip


def test_runs_without_some_metric_and_of_other_classes_are_shown_with_what_they_have():
    old = record("old", metrics={"val.accuracy": 0.8, "val.recall.cat": 0.7})
    data = rows(old, record("new", metrics={"val.accuracy": 0.8, "val.ece": float("nan"), "val.recall.dog": 0.6}))
    assert data["metrics"] == ["val.accuracy", "val.ece", "val.recall.cat", "val.recall.dog"]
    assert [run["metrics"] for run in data["runs"]] == [[0.8, None, 0.7, None], [0.8, None, None, 0.6]]


def test_of_many_classes_those_recognised_least_are_shown():
    metrics = {f"test.recall.{i:03}": i / 100 for i in range(100)}
    names = choose_metrics([record("a", metrics=metrics).run])
    assert names == [f"test.recall.{i:03}" for i in range(40)]


# Outputs


def answers_of(data, run):
    """The answers of a run to all images about which any two runs disagree."""
    number, text = data["answers"]["of"][run]
    found = data["answers"]["sets"][number]
    return {path: found["classes"][ord(c) - outputs.FIRST] for path, c in zip(found["paths"], text, strict=True)}


def test_answers_are_those_of_predictions_csv_where_any_two_runs_differ(repository):
    data = write()
    tables = []
    with Repo() as repo:
        for each in collect()[0]:
            tables.append(pd.read_csv(repo.cache.local.oid_to_path(each.run.outs["predictions.csv"])))
    answers = np.stack([table["prediction"] for table in tables])
    differing = (answers != answers[0]).any(0)
    for run, table in enumerate(tables):
        assert answers_of(data, run) == table[differing].set_index("path")["prediction"].to_dict()
    (found,) = data["answers"]["sets"]
    assert [found["classes"][ord(c) - outputs.FIRST] for c in found["labels"]] == tables[0][differing]["label"].tolist()


def test_no_more_pictures_than_asked_for_and_those_with_the_most_disagreement(repository):
    (found,) = write(images=5)["answers"]["sets"]
    answers = np.array([[*text] for _, text in write()["answers"]["of"]])
    pairs = [sum((a != b) for a in column for b in column) for column in answers.T]
    assert len(found["thumbnails"]) == 5
    assert min(pairs[i] for i in found["thumbnails"]) >= sorted(pairs)[-5]
    assert write(images=0)["answers"]["sets"][0]["thumbnails"] == {}


def test_a_picture_is_that_of_the_image_whose_path_it_has(repository):
    (found,) = write(images=5)["answers"]["sets"]
    with Repo() as repo:
        split = repo.cache.local.oid_to_path(repository.shared["prepared/test.safetensors"])
    images = load_file(split)["images"]
    assert found["thumbnails"]
    for i, uri in found["thumbnails"].items():
        row = int(Path(found["paths"][i]).stem)
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB"), int)
        assert np.abs(shown.transpose(2, 0, 1) - images[row]).mean() < 10, "as JPEG has it"


def test_answers_that_would_make_the_page_large_are_left_out_with_a_sentence(repository, monkeypatch):
    (found,) = write()["answers"]["sets"]
    monkeypatch.setattr(outputs, "ANSWERS", 2 * len(found["paths"]))
    of = write()["answers"]["of"]
    assert [isinstance(each, str) for each in of] == [False] * 2 + [True] * 5
    assert of[2] == "The answers of exp-005 are left out, to keep this page small."


def test_an_empty_cache_is_said_run_by_run(workspace):
    repository = Repository(workspace, 3, images=60, cached=False)
    repository.answer(0.9, {}).to_csv("predictions.csv", index=False)  # which the workspace alone has
    data = write()
    missing = [f"predictions.csv of {name} is not in DVC's cache." for name in ("exp-002", "baseline")]
    assert data["answers"]["of"][1:] == missing
    assert data["curves"] == [{}] * 3
    assert data["counts"] == {"datasets": [], "of": [-1] * 3}


def test_runs_on_other_images_are_not_compared_image_by_image(repository):
    (repository.folder / "predictions.csv").write_text("index,path,label,prediction,confidence\n0,a.png,cat,dog,0.5\n")
    metrics = repository.folder / "metrics.json"
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"more": 1}))
    lock = repository.folder / "dvc.lock"
    lock.write_text(lock.read_text().replace("seed: 1", "seed: 9"))
    params = repository.folder / "params.yaml"
    params.write_text(params.read_text().replace("seed: 1", "seed: 9"))
    records, _ = collect()
    own = next(each for each in records if each.run.rev == "workspace")
    own.run.outs.pop("predictions.csv")
    with Repo() as repo:
        answers = make_answers(records, Outputs(repo), 10)
    assert len(answers["sets"]) == 2
    assert answers["of"][records.index(own)] == [1, ""], "alone with its images: nothing differs"


def test_runs_on_the_same_files_with_another_label_are_not_compared_image_by_image(repository):
    records, _ = collect()
    with Repo() as repo:
        path = Path(repo.cache.local.oid_to_path(records[0].run.outs["predictions.csv"]))
        table = pd.read_csv(path)
        table.loc[0, "label"] = next(name for name in repository.names if name != table.loc[0, "label"])
        table.to_csv(path, index=False)
        assert len(make_answers(records, Outputs(repo), 10)["sets"]) == 2


def test_damaged_outputs_are_as_absent(repository):
    with Repo() as repo:
        for each in collect()[0]:
            for path in ("predictions.csv", "plots/history.csv", "prepared/dataset.json", "prepared/test.safetensors"):
                Path(repo.cache.local.oid_to_path(each.run.outs[path])).write_bytes(b"\xff{")
    data = write()
    assert {type(each) for each in data["answers"]["of"]} == {str}
    assert data["curves"] == [{}] * 7
    assert data["counts"]["of"] == [-1] * 7


def test_long_curves_keep_their_ends_and_old_ones_what_they_have(tmp_path):
    table = pd.DataFrame({"epoch": range(1, 301), "val_loss": np.linspace(2, 1, 300), "note": "x"})
    table.to_csv(tmp_path / "history.csv", index=False)
    curves = read_curves(tmp_path / "history.csv")
    assert list(curves) == ["epoch", "val_loss"]
    assert (curves["epoch"][0], curves["epoch"][-1], len(curves["epoch"])) == (1, 300, outputs.POINTS)
    assert (curves["val_loss"][0], curves["val_loss"][-1]) == (2, 1)


def test_a_photograph_becomes_a_small_picture():
    image = np.random.default_rng(0).integers(0, 256, (3, 256, 256), dtype=np.uint8)
    assert len(thumbnail(image)) < 8_000
    assert thumbnail(np.zeros((3, 16, 16), np.uint8)).startswith("data:image/png;base64,")


# The page


def test_text_cannot_leave_the_script_that_it_stands_in():
    data = rows(record(EVIL, names=[EVIL], metrics={f"val.recall.{EVIL}": 0.5})) | {"notes": [EVIL]}
    page = board.fill_page(data, {"sets": [], "of": [EVIL]})
    assert EVIL not in page
    assert "<img" not in page
    assert page.count("</script>") == 3


def test_the_browser_is_told_to_run_only_the_pages_own_script():
    page = board.fill_page({}, {})
    policy = page.split('Content-Security-Policy" content="')[1].split('"')[0]
    for tag, name in (('<script type="module">', "script-src"), ("<style>", "style-src")):
        inner = page.split(tag)[1].split("</")[0] if tag == "<style>" else page.split(tag)[1].split("</script>")[0]
        assert f"{name} {digest(inner[1:-1])};" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("count", ["-1", "100000"])
def test_an_impossible_number_of_images_is_refused_before_any_work(workspace, monkeypatch, count):
    monkeypatch.setattr(sys, "argv", ["board.py", f"--images={count}"])
    with pytest.raises(InputError, match="--images must be between 0 and 5000"):
        board.main()
