"""predictions.csv as a table of numbers, and what counting its rows gives."""

from pathlib import Path

from classifier.errors import InputError
from classifier.results.predictions import (
    class_names,
    count_right,
    is_right,
    load_predictions,
    make_predictions,
    mistakes,
    worst_mistakes,
    write_predictions,
)

import numpy as np
import pandas as pd
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


def test_the_worst_mistakes_are_the_most_confident_and_of_equals_the_first(answers):
    assert worst_mistakes(answers)["index"].tolist() == [1, 3, 4]
    assert worst_mistakes(answers[::-1].assign(confidence=0.5))["index"].tolist() == [1, 3, 4]
    assert len(worst_mistakes(pd.concat([answers] * 20))) == 32


def test_what_is_written_is_read_as_it_was(workspace):
    Path("prepared").mkdir()
    Path("prepared/images.csv").write_text("split,index,path,class,sha256\ntrain,0,x,b,0\ntest,0,y,b,0\ntest,1,z,a,0\n")
    probabilities = np.array([[0.3, 0.7], [0.1234567, 0.8765433]])
    table = make_predictions(probabilities, np.array([1, 0]), ["a", "b"], "test")
    write_predictions(table)
    assert Path("predictions.csv").read_text().splitlines()[2] == "1,z,a,b,0.876543,0.123457,0.876543"
    pd.testing.assert_frame_equal(load_predictions(), table, check_dtype=False)
    with pytest.raises(InputError, match=r"images\.csv lists 2 test images, not 1"):
        make_predictions(probabilities[:1], np.array([1]), ["a", "b"], "test")


def test_a_class_may_be_called_right(workspace):
    Path("predictions.csv").write_text(
        "index,path,label,prediction,confidence,left,right\n0,a,left,right,1,0,1\n1,b,right,right,1,0,1\n"
    )
    assert count_right(load_predictions())["recall"].tolist() == [0, 1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2\n",
        "index,path,label,note,prediction,confidence,cat\n0,a,cat,1,cat,1,1\n",
        "index,path,label,prediction,confidence,cat\n",
        "\0\0",
    ],
)
def test_another_table_is_refused(workspace, text):
    Path("predictions.csv").write_text(text)
    with pytest.raises(InputError, match=r"predictions\.csv is not what evaluate\.py writes.*dvc repro"):
        load_predictions()


def test_a_missing_table_says_what_to_run(workspace):
    with pytest.raises(InputError, match="not found: run `dvc repro`"):
        load_predictions()
