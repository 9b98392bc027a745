"""scripts/compare.py: runs are put into groups, and a difference is only named where there is evidence."""

import json
import sys

from classifier.errors import InputError
from classifier.results.predictions import NO_TEST
from classifier.results.significance import difference, is_better, mcnemar, mean_interval, verdicts
from classifier.runs.runs import Run, group_runs, read_predictions

import compare
import numpy as np
import pandas as pd
import pytest
from scipy import stats

PARAMS = {"prepare": {"augment": {}}, "train": {"lr": 0.1, "class_weights": {}, "augment": {"RandomErasing": {}}}}


def make_run(rev, seed=0, accuracy=0.9, metrics=None, files=None, stale=False, **train):
    """A run with the parameters PARAMS but for `train`."""
    params = PARAMS | {"train": PARAMS["train"] | train}
    metrics = metrics or {"val.accuracy": accuracy, "test.accuracy": accuracy - 0.01}
    return Run(rev, params, files or {"train.py": "1"}, {"train.seed": seed}, metrics, stale)


def sample(values, seeds=None):
    """A sample with one metric, val.accuracy."""
    return pd.DataFrame({"val.accuracy": values}, index=[f"train.seed {s}" for s in seeds or range(len(values))])


def compare_runs(*runs):
    groups, notes = group_runs(list(runs))
    return compare.compare_groups(groups, notes)


# Groups


def test_runs_that_differ_only_in_seeds_are_one_group():
    groups, notes = group_runs([make_run("a", 0), make_run("b", 1), make_run("c", 0, lr=0.2), make_run("d", 2)])
    assert [[run.rev for run in group.runs] for group in groups] == [["a", "b", "d"], ["c"]]
    assert not notes


@pytest.mark.parametrize(
    ("train", "label"),
    [
        ({"lr": 0.2}, ["train.lr=0.2"]),
        ({"class_weights": {"cat": 2.0}}, ["train.class_weights.cat=2.0"]),
        ({"class_weights": "balanced", "lr": 1}, ["train.lr=1", "train.class_weights=balanced"]),
        ({"augment": {}}, ["train.augment={}"]),
        (
            {"augment": {"RandomCrop": {"size": 32}}},
            ["no train.augment.RandomErasing", "train.augment.RandomCrop.size=32"],
        ),
    ],
)
def test_a_group_is_labelled_by_how_it_differs_from_the_first(train, label):
    groups, _ = group_runs([make_run("a"), make_run("b", **train)])
    assert [group.changes for group in groups] == [[], label]


def test_runs_of_other_code_are_another_group():
    groups, _ = group_runs([make_run("a"), make_run("b", 1, files={"train.py": "2"})])
    assert [group.changes for group in groups] == [[], ["train.py changed"]]


def test_a_run_named_twice_counts_once_and_is_said_so():
    groups, notes = group_runs([make_run("v1", 0), make_run("b", 1), make_run("main", 0)])
    assert [run.rev for run in groups[0].runs] == ["v1", "b"]
    assert notes == ["main is the same run as v1: counted once."]


def test_the_same_parameters_with_other_metrics_are_not_called_the_same_run():
    groups, notes = group_runs([make_run("a", accuracy=0.9), make_run("b", accuracy=0.8)])
    assert [run.rev for run in groups[0].runs] == ["a"]
    assert "but other metrics" in notes[0]


# Statistics


def test_a_mean_has_a_t_interval():
    table = mean_interval(sample([0.90, 0.92, 0.97])).loc["val.accuracy"]
    half_width = stats.t.ppf(0.975, 2) * np.std([0.90, 0.92, 0.97], ddof=1) / np.sqrt(3)
    assert table.to_dict() == pytest.approx({"mean": 0.93, "low": 0.93 - half_width, "high": 0.93 + half_width})


def test_equal_seeds_are_compared_in_pairs():
    a, b = [0.90, 0.92, 0.97], [0.91, 0.94, 0.98]
    compared = difference(sample(a), sample(b))
    expected = stats.ttest_rel(b, a)
    assert (compared.method, compared.pairs) == ("paired t", 3)
    assert compared.table.loc["val.accuracy", "p"] == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert compared.table.loc["val.accuracy", ["low", "high"]].tolist() == pytest.approx([interval.low, interval.high])


def test_seeds_without_a_partner_are_left_out_of_the_pairs_whatever_the_order():
    compared = difference(sample([0.90, 0.92, 0.50], seeds=[0, 1, 7]), sample([0.95, 0.91], seeds=[1, 0]))
    assert compared.pairs == 2
    assert compared.table.loc["val.accuracy", "difference"] == pytest.approx(0.02)  # of 0.01 and 0.03


@pytest.mark.parametrize("seeds", [[3, 4, 5], [2, 3, 4]])
def test_other_seeds_are_compared_by_welchs_test(seeds):
    a, b = [0.90, 0.92, 0.97], [0.91, 0.99, 0.98]
    compared = difference(sample(a), sample(b, seeds))
    expected = stats.ttest_ind(b, a, equal_var=False)
    assert compared.method == "Welch's t"
    assert compared.table.loc["val.accuracy", "p"] == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert compared.table.loc["val.accuracy", ["low", "high"]].tolist() == pytest.approx([interval.low, interval.high])


def test_one_run_on_a_side_has_a_difference_but_no_interval():
    compared = difference(sample([0.9]), sample([0.95, 0.96, 0.94]))
    assert compared.table.loc["val.accuracy", "difference"] == pytest.approx(0.05)
    assert compared.table[["low", "high", "p"]].isna().all(axis=None)
    assert verdicts(compared).tolist() == ["one run: no interval"]


def test_two_equal_differences_are_no_proof():
    compared = difference(sample([0.90, 0.92]), sample([0.91, 0.93]))
    assert verdicts(compared).tolist() == ["equal for each seed: no interval"]


@pytest.mark.parametrize(
    ("others", "verdict"),
    [([0.95, 0.96, 0.97], "higher"), ([0.85, 0.86, 0.872], "lower"), ([0.91, 0.90, 0.92], "no difference shown")],
)
def test_a_verdict_follows_the_evidence(others, verdict):
    assert verdicts(difference(sample([0.900, 0.910, 0.921]), sample(others))).tolist() == [verdict]


def test_a_verdict_needs_more_evidence_among_many_metrics():
    rng = np.random.default_rng(0)
    names = [f"val.recall.{i}" for i in range(40)]
    a, b = (pd.DataFrame(rng.normal(size=(5, 40)), columns=names) for _ in "ab")
    compared = difference(a, b)
    assert (compared.table["p"] < 0.05).any(), "choose a seed with a chance finding"
    assert set(verdicts(compared)) == {"no difference shown"}
    alone = compared.table["p"].idxmin()
    assert verdicts(difference(a[[alone]], b[[alone]])).tolist() != ["no difference shown"]


@pytest.mark.parametrize(
    ("metric", "verdict", "better"),
    [
        ("val.accuracy", "higher", True),
        ("val.worst_recall", "lower", False),
        ("test.recall.loss", "higher", True),  # a class may be called so
        ("val.loss", "higher", False),
        ("test.ece", "lower", True),
        ("val.size", "higher", None),
        ("val.accuracy", "no difference shown", None),
    ],
)
def test_which_way_is_better_depends_on_the_metric(metric, verdict, better):
    assert is_better(metric, verdict) is better


def predictions(right, of):
    """Answers of a model that is right for the images numbered `right`."""
    return pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(of)],
            "label": "cat",
            "prediction": ["cat" if i in right else "dog" for i in range(of)],
        }
    )


def test_mcnemar_counts_the_images_that_only_one_model_gets_right():
    found = mcnemar(predictions(range(10), 20), predictions(range(8, 20), 20))
    assert (found["only_reference"], found["only_other"]) == (8, 10)
    assert found["p"] == pytest.approx(stats.binomtest(8, 18).pvalue)
    assert found["verdict"] == "no difference shown"


def test_mcnemar_names_the_model_that_is_right_more_often():
    assert mcnemar(predictions(range(5), 20), predictions(range(15), 20))["verdict"] == "higher"
    assert mcnemar(predictions(range(15), 20), predictions(range(5), 20))["verdict"] == "lower"


def test_mcnemar_of_equal_answers_shows_nothing():
    assert mcnemar(predictions([1], 5), predictions([1], 5))["p"] == 1


# The report


@pytest.fixture
def revisions(workspace, monkeypatch):
    """A function that makes runs known as revisions, without Git, and runs compare.py."""
    (workspace / "dvc.yaml").touch()
    known = {}

    def read(rev):
        if rev not in known:
            raise InputError(f"{rev} has no metrics.json.")
        return known[rev]

    monkeypatch.setattr(compare, "read_run", read)
    monkeypatch.setattr("classifier.runs.report.read_predictions", lambda rev: predictions(range(8), 10))

    def run(*runs, revs=None, listed=(), options=()):
        known.update({r.rev: r for r in runs})
        monkeypatch.setattr(compare, "list_revisions", lambda: list(listed))
        monkeypatch.setattr(sys, "argv", ["compare.py", *(revs or []), *options])
        compare.main()

    return run


def rows(output, metric):
    """The cells of the table rows for a metric."""
    return [[cell.strip() for cell in line.split("|")[2:-1]] for line in output.splitlines() if f"| {metric} " in line]


def test_the_table_shows_means_difference_and_verdict(revisions, capsys):
    first = [make_run(f"a{i}", i, accuracy) for i, accuracy in enumerate([0.900, 0.910, 0.921])]
    second = [make_run(f"b{i}", i, accuracy, lr=0.2) for i, accuracy in enumerate([0.950, 0.960, 0.970])]
    revisions(*first, *second, revs=["a0", "a1", "a2", "b0", "b1", "b2"])
    output = capsys.readouterr().out
    assert rows(output, "val.accuracy") == [
        ["0.9103 ± 0.0261", "0.9600 ± 0.0248", "+0.0497 [+0.0482, +0.0511]", "higher (better)"]
    ]
    assert "## B against A: train.lr=0.2" in output
    assert "Paired t-test over the 3 seeds" in output
    assert "about one in twenty" in output


def test_val_comes_before_test_and_the_summary_before_the_classes(revisions, capsys):
    names = ["test.recall.cat", "test.loss", "test.accuracy", "val.recall.cat", "val.loss", "val.accuracy", "val.size"]
    revisions(make_run("a", metrics=dict.fromkeys(names, 0.5)), revs=["a"])
    lines = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [line for line in lines if "." in line] == [
        *("val.accuracy", "val.loss", "test.accuracy", "test.loss", "val.recall.cat", "test.recall.cat", "val.size")
    ]


def test_json_has_the_numbers_of_the_table(revisions, capsys):
    revisions(make_run("a", 0, 0.9), make_run("b", 0, 0.8, lr=0.2), revs=["a", "b"], options=["--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["groups"][1]["changes"] == ["train.lr=0.2"]
    (comparison,) = report["comparisons"]
    assert comparison["metrics"]["val.accuracy"] == {
        "difference": pytest.approx(-0.1),
        "low": None,
        "high": None,
        "p": None,
        "verdict": "one run: no interval",
        "better": None,
    }
    assert comparison["predictions"]["p"] == 1


def test_predictions_are_compared_only_between_single_runs(revisions, capsys):
    runs = [make_run("a"), make_run("b", lr=0.2), make_run("c", 1, lr=0.2)]
    revisions(*runs, revs=["a", "b"])
    assert "McNemar's exact test" in capsys.readouterr().out
    revisions(*runs, revs=["a", "b", "c"])
    assert "McNemar" not in capsys.readouterr().out


def test_single_runs_begin_with_the_one_thing_they_can_tell(revisions, capsys):
    revisions(make_run("old"), make_run("new", lr=0.2), revs=["old", "new"])
    first = capsys.readouterr().out.split("\n\n")[0]
    assert first.startswith("No difference shown: of ")
    assert "by old only and" in first and "by new only (McNemar's exact test: p = 1)" in first


def test_predictions_for_other_images_are_not_compared(revisions, capsys, monkeypatch):
    monkeypatch.setattr(
        "classifier.runs.report.read_predictions", lambda rev: predictions([0], {"a": 10, "b": 11}[rev])
    )
    revisions(make_run("a"), make_run("b", lr=0.2), revs=["a", "b"])
    assert "The predictions of a and b are for different test images." in capsys.readouterr().out


VAL_ONLY = {"val.accuracy": 0.9, "val.loss": 0.5}


def test_where_one_run_has_no_test_split_that_is_said_and_val_compared(revisions, capsys):
    revisions(make_run("a"), make_run("b", metrics=VAL_ONLY, lr=0.2), revs=["a", "b"])
    output = capsys.readouterr().out
    assert "Note: Nothing was held back for a test in b: only validation metrics can be compared" in output
    assert "The predictions of a are for test images, those of b are for validation images." in output
    assert rows(output, "val.accuracy")
    assert not rows(output, "test.accuracy")


def test_where_no_run_has_a_test_split_that_is_said_and_val_compared(revisions, capsys):
    revisions(make_run("a", metrics=VAL_ONLY), make_run("b", metrics=VAL_ONLY, lr=0.2), revs=["a", "b"])
    output = capsys.readouterr().out
    assert f"Note: {NO_TEST}" in output
    assert "of 10 validation images, 0 are classified correctly by a only" in output
    revisions(make_run("a", metrics=VAL_ONLY), revs=["a"])
    assert f"Note: {NO_TEST}" in capsys.readouterr().out


def test_where_all_runs_have_a_test_split_nothing_is_said(revisions, capsys):
    revisions(make_run("a"), make_run("b", lr=0.2), revs=["a", "b"])
    output = capsys.readouterr().out
    assert "held back" not in output
    assert "of 10 test images, 0 are classified correctly by a only" in output


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe"])
def test_damaged_predictions_are_told_and_leave_the_rest(revisions, capsys, monkeypatch, content):
    monkeypatch.setattr("classifier.runs.report.read_predictions", read_predictions)
    monkeypatch.setattr("classifier.runs.runs.read_file", lambda rev, path: content)
    revisions(make_run("a"), make_run("b", lr=0.2), revs=["a", "b"])
    output = capsys.readouterr().out
    assert "No test on single predictions: predictions.csv of a is not what evaluate.py writes" in output
    assert rows(output, "val.accuracy")


def test_a_named_revision_without_results_is_an_error(revisions):
    with pytest.raises(InputError, match="b has no metrics"):
        revisions(make_run("a"), revs=["a", "b"])


def test_without_names_what_has_no_results_is_left_out_and_said_so(revisions, capsys):
    runs = [make_run("exp", lr=0.2), make_run("workspace", lr=0.3, stale=True)]
    revisions(*runs, listed=["HEAD", "exp", "workspace"])
    output = capsys.readouterr().out
    assert "Note: HEAD has no metrics.json. Left out." in output
    assert "Note: workspace: metrics.json is older than params.yaml" in output
    assert "| A     | (the reference) | exp  |" in output
    assert "nothing to compare it with" in output


def test_a_revision_whose_parameters_were_not_run_is_pointed_out(revisions, capsys):
    revisions(make_run("a"), make_run("b", lr=0.2, stale=True), revs=["a", "b"])
    assert "Note: b: metrics.json is older than params.yaml" in capsys.readouterr().out


def test_names_with_a_bar_do_not_break_the_table():
    report = compare_runs(make_run("a"), make_run("b", class_weights={"a|b": 2.0}))
    line = next(line for line in compare.to_markdown(report).splitlines() if line.startswith("| B "))
    assert r"train.class_weights.a\|b=2.0" in line


# One class


@pytest.fixture
def answered(monkeypatch):
    """Two runs, `old` and `new`, of which the new one recognises all of ten cats instead of none."""
    labels = ["cat"] * 10 + ["dog"] * 10
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(20)], "label": labels, "prediction": "dog"})
    tables = {"old": table, "new": table.assign(prediction=labels), "other": table.assign(path="x.png")}
    monkeypatch.setattr(compare, "read_predictions", tables.__getitem__)
    monkeypatch.setattr(compare, "read_run", lambda rev: make_run(rev))


def test_what_became_of_a_class_is_told_from_the_images_of_both_runs(answered):
    said = compare.tell_trade(["old", "new"], "cat")
    assert said.startswith("Of 10 test images of cat, 10 are recognised instead of 0 ")
    assert "Of the 10 of other classes, 10 are recognised instead of 10 " in said


@pytest.mark.parametrize(
    ("revs", "name", "message"),
    [
        (["old"], "cat", "name two revisions, not 1"),
        (["old", "new"], "cta", "is of class 'cta', did you mean 'cat'"),
        (["old", "other"], "cat", "for different test images"),
    ],
)
def test_a_class_is_compared_between_two_runs_on_the_same_images_that_have_it(answered, revs, name, message):
    with pytest.raises(InputError, match=message):
        compare.tell_trade(revs, name)
