"""classifier/data/duplicates.py and edits.py: which copy to keep, and the commands that say so."""

import shlex
import subprocess
from dataclasses import replace

from classifier.data.duplicates import DECIDE, KEEP, LEFT_OUT, REMOVE, find_duplicates
from classifier.data.edits import Edits, script
from classifier.data.survey import Survey

import numpy as np
import pytest

NAMES = ["train/cat/a", "train/cat/b", "val/cat/c", "test/cat/d", "train/dog/e", "train/dog/f"]


def survey(**changes) -> Survey:
    """Six images that differ; the labels follow the folders."""
    one = Survey(
        layout="image folders",
        classes=["cat", "dog"],
        own_splits=("train", "val", "test"),
        paths=NAMES,
        splits=np.array([0, 0, 1, 2, 0, 0]),
        labels=np.array([0, 0, 0, 0, 1, 1]),
        digests=np.arange(6).astype(np.uint64),
        sides=np.full((6, 2), 32),
        group=np.arange(6),
        decoded=6,
        distinct=6,
        grey=0.0,
        unreadable=[],
    )
    return replace(one, **changes)


PLACES = ["train", "train", "val", "test", "train", "train"]


def told(found: Survey, places: list[str] = PLACES) -> list[tuple[int, str, str]]:
    """group, path and advice of each row."""
    table = find_duplicates(found, places)
    return list(zip(table["group"], table["path"], table["advice"], strict=True))


def test_where_no_picture_is_there_twice_the_table_is_empty():
    table = find_duplicates(survey(), PLACES)
    assert list(table) == ["group", "copies", "path", "class", "split", "advice"]
    assert table.empty


def test_across_splits_the_copy_in_train_goes():
    found = survey(group=np.array([0, 1, 2, 0, 4, 5]))
    assert told(found) == [(1, "test/cat/d", KEEP), (1, "train/cat/a", REMOVE)]
    assert set(find_duplicates(found, PLACES)["copies"]) == {"near-duplicates"}


def test_where_prepare_has_cut_val_off_from_train_counts_where_an_image_went():
    found = survey(group=np.array([0, 0, 2, 3, 4, 5]))
    places = ["train", "val", *PLACES[2:]]
    assert told(found, places) == [(1, "train/cat/b", KEEP), (1, "train/cat/a", REMOVE)]


def test_within_a_split_the_largest_stays():
    sides = np.full((6, 2), 32)
    sides[5] = 64
    assert told(survey(group=np.array([0, 1, 2, 3, 4, 4]), sides=sides)) == [
        (1, "train/dog/f", KEEP),
        (1, "train/dog/e", REMOVE),
    ]


def test_under_two_classes_a_person_decides_and_that_comes_first():
    found = survey(group=np.array([0, 1, 2, 0, 1, 5]))
    assert told(found) == [
        (1, "train/cat/b", DECIDE),
        (1, "train/dog/e", DECIDE),
        (2, "test/cat/d", KEEP),
        (2, "train/cat/a", REMOVE),
    ]


def test_what_prepare_leaves_out_needs_no_hand():
    digests = np.array([7, 1, 2, 7, 4, 5], np.uint64)
    found = survey(group=np.array([0, 1, 2, 0, 4, 5]), digests=digests)
    places = ["excluded", *PLACES[1:]]
    assert told(found, places) == [(1, "test/cat/d", KEEP), (1, "train/cat/a", LEFT_OUT)]
    assert set(find_duplicates(found, places)["copies"]) == {"equal bytes"}


def test_a_placeholder_goes_wherever_it_is():
    found = survey(group=np.zeros(6, int), labels=np.zeros(6, int))
    assert {advice for _, _, advice in told(found)} == {REMOVE}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """data/ with files whose names are awkward."""
    monkeypatch.chdir(tmp_path)
    paths = ["train/a cat/it's $HOME.jpg", "train/dog/x.jpg", "train/a cat/x.jpg", "train/frog/x.jpg"]
    for path in paths:
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / path).write_text(path)
    return paths


def run(text: str) -> None:
    subprocess.run(["sh", "-c", text], check=True)


def test_commands_do_what_they_say_with_any_name(folder, tmp_path):
    edits = Edits(folder)
    run(edits.move(folder[0], "a cat", "dog"))
    assert (tmp_path / "data/train/dog/it's $HOME.jpg").read_text() == folder[0]
    run(edits.remove(folder[1]))
    assert not (tmp_path / "data" / folder[1]).exists()


def test_no_move_overwrites_an_image(folder, tmp_path):
    edits = Edits(folder)
    for path, old in (("train/a cat/x.jpg", "a cat"), ("train/frog/x.jpg", "frog")):
        run(edits.move(path, old, "dog"))
    kept = sorted(path.name for path in (tmp_path / "data/train/dog").iterdir())
    assert kept == ["x-from-a cat.jpg", "x-from-frog.jpg", "x.jpg"]
    assert (tmp_path / "data/train/dog/x.jpg").read_text() == "train/dog/x.jpg"


def test_two_images_of_one_name_do_not_meet_in_a_third_class(folder):
    edits = Edits(folder[1:3])
    targets = [shlex.split(edits.move(path, path.split("/")[1], "frog"))[-1] for path in folder[1:3]]
    assert targets == ["data/train/frog/x.jpg", "data/train/frog/x-from-a cat.jpg"]


def test_a_name_that_could_end_a_comment_gets_no_command():
    assert Edits([]).remove("train/cat/a\nrm -r data.jpg") == ""
    assert Edits([]).move("train/cat/a.jpg", "cat", "do\ng") == ""


def test_the_script_changes_nothing_as_it_is_written(folder, tmp_path):
    text = script([Edits(folder).move(folder[1], "dog", "frog"), ""], [Edits(folder).remove(folder[2])])
    assert all(line.startswith("# ") for line in text.splitlines() if line)
    assert "# rm 'data/train/a cat/x.jpg'\n" in text
    assert "# dvc add data\n# dvc repro\n" in text
    run(text)
    assert all((tmp_path / "data" / path).exists() for path in folder)
