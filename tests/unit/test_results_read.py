"""predictions.csv, metrics.json and dvc.lock that nobody here wrote: one sentence."""

import json

from classifier.errors import InputError
from classifier.results.predictions import parse_predictions
from classifier.runs.recorded import parse_lock

import pytest
import reweight

HEADER = "index,path,label,prediction,confidence,cat,dog\n"
ROW = "0,a.png,cat,cat,0.9,0.9,0.1\n"


def test_a_table_as_evaluate_writes_it_is_read():
    assert len(parse_predictions((HEADER + ROW).encode(), "p.csv")) == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0,a.png,cow,cat,0.9,0.9,0.1\n", "'cow' is a label or prediction, and no column"),
        ("0,a.png,cat,cow,0.9,0.9,0.1\n", "'cow' is a label or prediction"),
        ("0,a.png,cat,cat,nan,0.9,0.1\n", "not between 0 and 1"),
        ("0,a.png,cat,cat,0.9,1e999,0.1\n", "not between 0 and 1"),
        ("0,a.png,cat,cat,0.9,-0.1,0.1\n", "not between 0 and 1"),
        ("-1,a.png,cat,cat,0.9,0.9,0.1\n", "an index is negative"),
        (ROW + ROW, "an index is negative or stands twice"),
        ("1e400,a.png,cat,cat,0.9,0.9,0.1\n", "is not what evaluate.py writes"),
        ("9" * 400 + ",a.png,cat,cat,0.9,0.9,0.1\n", "is not what evaluate.py writes"),
        ("0,a.png,cat,cat,high,0.9,0.1\n", "is not what evaluate.py writes"),
        ("", "no rows"),
        ("0,a.png\n", "is not what evaluate.py writes"),
        ("\0\n", "is not what evaluate.py writes"),
    ],
)
def test_a_table_with_values_that_evaluate_cannot_have_written_is_refused(rows, said):
    with pytest.raises(InputError, match=r"^p\.csv ") as error:
        parse_predictions((HEADER + rows).encode(), "p.csv")
    assert said in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a,b\n1,2\n", b"\0" * 100, b'"' * 99])
def test_another_file_is_no_table_of_predictions(content):
    with pytest.raises(InputError, match=r"^p\.csv is not what evaluate.py writes"):
        parse_predictions(content, "p.csv")


DEEP = "[" * 100_000
RECALL = {"val": {"recall": {"cat": 0.5}}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        DEEP,
        "{}",
        '{"val": null}',
        '{"val": {"recall": [1]}}',
        '{"val": {"recall": {}}}',
        *(
            json.dumps(RECALL).replace("0.5", v)
            for v in ("null", "[]", '"high"', "NaN", "Infinity", "2", "1" + "0" * 400)
        ),
    ],
)
def test_metrics_that_evaluate_cannot_have_written_are_refused(workspace, text):
    reweight.METRICS.write_text(text)
    with pytest.raises(InputError, match=r"metrics\.json does not hold what evaluate\.py writes"):
        reweight.read_recall()


@pytest.mark.parametrize(
    "content", [b"", b"stages", b"stages: []", b"\xff", b"[" * 50_000, b"a: !!timestamp x", b"stages: {a: 1}"]
)
def test_a_lock_that_dvc_did_not_write_is_refused(content):
    with pytest.raises(InputError, match=r"dvc\.lock is not what DVC writes"):
        parse_lock(content, "dvc.lock")
