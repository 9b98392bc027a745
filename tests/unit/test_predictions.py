"""predictions.csv as a table of numbers, and what counting its rows gives."""

from pathlib import Path

from classifier.errors import InputError
from classifier.results.predictions import class_names, count_right, is_right, load_predictions, mistakes

import pytest

TABLE = """index,path,label,prediction,confidence,07,nan
0,a.png,07,07,0.9,0.9,0.1
1,b.png,07,nan,0.8,0.2,0.8
2,c.png,nan,nan,0.7,0.3,0.7
3,d.png,07,nan,0.6,0.4,0.6
4,e.png,nan,07,0.5,0.5,0.5
"""


@pytest.fixture
def answers(workspace):
    Path("predictions.csv").write_text(TABLE)
    return load_predictions()


def test_class_names_that_look_like_numbers_or_nothing_stay_as_they_are(answers):
    assert class_names(answers) == ["07", "nan"]
    assert answers["label"].tolist() == ["07", "07", "nan", "07", "nan"]


def test_numbers_are_numbers(answers):
    assert answers["index"].tolist() == [0, 1, 2, 3, 4]
    assert answers["confidence"].sum() == pytest.approx(3.5)
    assert answers["nan"].sum() == pytest.approx(2.7)


def test_right_answers_are_counted_for_each_class(answers):
    assert is_right(answers).tolist() == [True, False, True, False, False]
    assert count_right(answers).loc["07", ["right", "images", "recall"]].tolist() == [1, 3, 1 / 3]


def test_mistakes_are_counted_by_what_is_taken_for_what(answers):
    assert mistakes(answers).to_numpy().tolist() == [["07", "nan", 2], ["nan", "07", 1]]


def test_a_class_may_be_called_right(workspace):
    Path("predictions.csv").write_text(
        "index,path,label,prediction,confidence,left,right\n0,a,left,right,1,0,1\n1,b,right,right,1,0,1\n"
    )
    assert count_right(load_predictions())["recall"].tolist() == [0, 1]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "index,path,label,prediction,confidence,cat\n", "\0\0"])
def test_another_table_is_refused(workspace, text):
    Path("predictions.csv").write_text(text)
    with pytest.raises(InputError, match=r"predictions\.csv is not what evaluate\.py writes.*dvc repro"):
        load_predictions()


def test_a_missing_table_says_what_to_run(workspace):
    with pytest.raises(InputError, match="not found: run `dvc repro`"):
        load_predictions()
