"""scripts/gate.py: which changes of metrics it lets pass, what it compares with, and how its report puts it."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

from classifier.errors import InputError
from classifier.results.predictions import NO_TEST
from classifier.runs.recorded import changed_inputs, missing_on_remote
from classifier.runs.report import describe_changes, describe_metrics, note_missing_tests
from classifier.runs.runs import Run

import gate
import pytest


def make_run(rev="workspace", files=None, **metrics):
    """A run with metrics of the validation split: make_run(accuracy=0.9)."""
    return Run(rev, {}, files or {}, {}, {f"val.{name}": value for name, value in metrics.items()}, stale=False)


def findings(before, now, metrics=("val.accuracy",), margin=0.01):
    return list(gate.check_metrics(before, now, list(metrics), margin))


# Metrics


@pytest.mark.parametrize("now", [0.95, 0.9, 0.895, 0.89])  # 0.9 - 0.89 is a little more than 0.01 in binary
def test_a_metric_may_rise_and_may_fall_by_the_margin(now):
    assert findings(make_run(accuracy=0.9), make_run(accuracy=now)) == []


def test_a_metric_that_falls_by_more_is_a_finding():
    assert findings(make_run(accuracy=0.9), make_run(accuracy=0.88)) == [
        "val.accuracy fell by 0.0200, from 0.9000 to 0.8800: more than the margin of 0.01. Try something else, or, "
        "where other seeds move it as much (scripts/compare.py), widen --margin."
    ]
    assert findings(make_run(accuracy=0.9), make_run(accuracy=0.88), margin=0.02) == []


def test_without_a_margin_the_smallest_loss_is_a_finding():
    assert findings(make_run(accuracy=0.9), make_run(accuracy=0.9), margin=0) == []
    assert len(findings(make_run(accuracy=0.9), make_run(accuracy=0.89999), margin=0)) == 1


def test_no_metric_is_proposed_that_would_be_refused():
    with pytest.raises(InputError, match=r"no number 'val\.accuracies', did you mean 'val\.accuracy'\?"):
        findings(None, make_run(accuracy=0.9, accuracie=0.9), ["val.accuracies"])


def test_a_first_result_is_not_told_to_run_anything(monkeypatch):
    def refuse(rev):
        raise InputError(f"{rev} has no metrics.json: run `dvc repro` there and commit its results.")

    monkeypatch.setattr(gate, "read_run", refuse)
    said = "No metrics are compared, as is right for a first result: 1a2b3c has no metrics.json."
    assert gate.read_base("1a2b3c") == (None, [said])


def test_a_loss_must_not_rise():
    assert findings(make_run(loss=0.5), make_run(loss=0.4), ["val.loss"]) == []
    (finding,) = findings(make_run(loss=0.4), make_run(loss=0.5), ["val.loss"])
    assert finding.startswith("val.loss rose by 0.1000")


def test_only_the_metrics_that_decide_are_looked_at():
    before, now = make_run(accuracy=0.9, ece=0.1, macro_recall=0.9), make_run(accuracy=0.9, ece=0.4, macro_recall=0.7)
    assert findings(before, now) == []
    assert len(findings(before, now, ["val.accuracy", "val.macro_recall", "val.ece"])) == 2


@pytest.mark.parametrize("now", [float("nan"), float("inf")])
def test_what_is_no_number_does_not_pass(now):
    assert len(findings(make_run(loss=0.9), make_run(loss=now), ["val.loss"])) == 1


def test_without_a_base_no_metric_can_have_fallen():
    assert findings(None, make_run(accuracy=0.1)) == []


def test_a_metric_that_the_base_lacks_cannot_decide():
    (finding,) = findings(make_run("abc", loss=0.5), make_run(accuracy=0.9))
    assert finding == "val.accuracy is to decide, but abc has no such metric to compare with."


def test_an_unknown_metric_is_an_error_also_without_a_base():
    with pytest.raises(InputError, match=r"no number 'val.acuracy', did you mean 'val.accuracy'"):
        findings(None, make_run(accuracy=0.9), ["val.acuracy"])


def test_a_test_metric_cannot_decide_where_nothing_was_held_back_for_a_test():
    before, now = replace(make_run(accuracy=0.9), metrics={"test.accuracy": 0.9}), make_run(accuracy=0.9)
    assert findings(before, now, ["test.accuracy", "val.accuracy"]) == [
        "test.accuracy is to decide, but nothing was held back for a test: decide by a metric of val.",
        "val.accuracy is to decide, but workspace has no such metric to compare with.",
    ]


def test_a_metric_of_which_nobody_knows_which_way_is_better_is_an_error():
    with pytest.raises(InputError, match=r"whether val\.size should rise or fall"):
        findings(make_run(size=1), make_run(size=2), ["val.size"])


@pytest.mark.parametrize("margin", ["-0.01", "nan", "inf"])
def test_a_margin_must_be_a_number(margin, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gate.py", "--margin", margin])
    with pytest.raises(InputError, match="--margin must be 0 or greater"):
        gate.main()


# What is compared with


@pytest.fixture
def history(workspace, monkeypatch):
    """A function that runs git in an empty repository."""

    def git(*arguments):
        command = ["git", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet", "--initial-branch", "main")
    git("commit", "--quiet", "--allow-empty", "--message", "start")
    return git


def test_the_base_is_the_commit_at_which_the_branch_was_left(history):
    start = history("rev-parse", "--short", "HEAD")
    history("checkout", "--quiet", "-b", "change")
    history("commit", "--quiet", "--allow-empty", "--message", "change")
    history("checkout", "--quiet", "main")
    history("commit", "--quiet", "--allow-empty", "--message", "main goes on")
    history("checkout", "--quiet", "change")
    assert gate.find_base(["origin/main", "main"]) == ("main", start)
    assert gate.find_base(["HEAD"]) == ("HEAD", history("rev-parse", "--short", "HEAD"))


def test_an_unknown_base_is_named(history):
    with pytest.raises(InputError, match="Git knows no nonesuch here: fetch it"):
        gate.find_base(["nonesuch"])
    with pytest.raises(InputError, match="no origin/main and no master here"):
        gate.find_base(["origin/main", "master"])


def test_a_history_that_was_not_fetched_is_said_so(history):
    history("checkout", "--quiet", "--orphan", "other")
    history("commit", "--quiet", "--allow-empty", "--message", "another start")
    with pytest.raises(InputError, match=r"main and HEAD have no commit in common .* fetch the whole history"):
        gate.find_base(["main"])


def test_without_dvc_lock_nothing_is_recorded(workspace):
    with pytest.raises(InputError, match=r"dvc.lock not found: nothing is recorded yet"):
        changed_inputs(repo=None)


def test_a_default_remote_is_needed():
    with pytest.raises(InputError, match="`dvc remote default NAME` chooses one"):
        missing_on_remote(SimpleNamespace(config={"core": {}}))


# The report


def cells(tables, name):
    """The cells of the row for a metric."""
    line = next(line for table in tables for line in table.splitlines() if name in line)
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_the_tables_show_before_and_now_and_which_way_is_better():
    before = {"accuracy": 0.9, "loss": 0.5, "ece": 0.1, "recall.cat": 0.8, "recall.dog": 0.7}
    now = {"accuracy": 0.89, "loss": 0.4, "ece": 0.1, "recall.cat": 0.85, "recall.eel": 0.6}
    tables = list(describe_metrics(make_run(**before), make_run(**now), ["val.accuracy"]))
    assert [table for table in tables if table.startswith("#")] == ["## Metrics", "## Recall of each class"]
    assert cells(tables[1:2], "val.accuracy") == ["**val.accuracy**", "0.9000", "0.8900", "-0.0100 worse"]
    assert cells(tables[1:2], "val.loss") == ["val.loss", "0.5000", "0.4000", "-0.1000 better"]
    assert cells(tables[1:2], "val.ece") == ["val.ece", "0.1000", "0.1000", ""]
    assert cells(tables[3:], "val.recall.cat") == ["val.recall.cat", "0.8000", "0.8500", "+0.0500 better"]
    assert cells(tables[3:], "val.recall.dog") == ["val.recall.dog", "0.7000", "–", ""]
    assert cells(tables[3:], "val.recall.eel") == ["val.recall.eel", "–", "0.6000", ""]


def test_the_report_says_where_nothing_was_held_back_for_a_test():
    without, tested = make_run(accuracy=0.9), replace(make_run("abc"), metrics={"val.loss": 0.5, "test.loss": 0.5})
    assert note_missing_tests([tested]) == note_missing_tests([tested, tested]) == []
    assert note_missing_tests([without]) == note_missing_tests([without, without]) == [NO_TEST]
    (note,) = note_missing_tests([tested, without])
    assert note.startswith("Nothing was held back for a test in workspace: ")


def test_the_report_names_what_changed(monkeypatch):
    monkeypatch.setattr("classifier.runs.report.compare_predictions", lambda *revs: {"error": "none here"})
    before, now = make_run(files={"data": "1", "train.py": "2"}), make_run(files={"data": "3", "train.py": "2"})
    params = {"train.lr": {"old": 0.1, "new": 0.2, "diff": 0.1}, "train.class_weights.a|b": {"old": None, "new": 2.0}}
    text = "\n".join(describe_changes(before, now, params))
    assert cells([text.split("## What changed")[1].strip()], "train.lr") == ["train.lr", "0.1", "0.2"]
    assert r"| train.class_weights.a\|b | –      | 2.0 |" in text
    assert "Data and code: data." in text
    assert "No test on single predictions: none here" in text


def test_nothing_changed_is_said_so(monkeypatch):
    monkeypatch.setattr("classifier.runs.report.compare_predictions", lambda *revs: {"error": "none here"})
    text = "\n".join(describe_changes(make_run(), make_run(), {}))
    assert "No parameter." in text
    assert "Data and code: nothing." in text
