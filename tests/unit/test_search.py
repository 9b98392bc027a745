"""Weights tried over seeds: what is missing, what is queued, and which weights no other beats."""

from pathlib import Path

from classifier.errors import InputError
from classifier.runs import weights
from classifier.runs.runs import Run

import pytest


def run_of(weight, seed, accuracy, worst_recall, rev="x", stale=False, lr=0.1, code="1"):
    """A finished run in which the class `cat` has this weight."""
    class_weights = {} if weight == 1 else weight if weight == "balanced" else {"cat": weight}
    metrics = {"val.accuracy": accuracy, "val.worst_recall": worst_recall, "val.recall.cat": worst_recall + 0.1}
    params = {"train": {"lr": lr, "class_weights": class_weights}}
    return Run(rev, params, {"train.py": code}, {"train.seed": seed, "prepare.seed": 0}, metrics, stale)


@pytest.fixture
def known(monkeypatch):
    """A function: these are the runs that Git and DVC know by their names, `workspace` first; others are queued."""

    def know(*runs, queued=()):
        runs = {run.rev: run for run in (*runs, *queued)}

        def read(rev):
            if rev not in runs:
                raise InputError(f"{rev} has no metrics.json.")
            return runs[rev]

        waiting = {run.rev for run in queued}
        finished = [rev for rev in runs if rev not in waiting and rev != "workspace"]
        monkeypatch.setattr(weights, "read_run", read)
        monkeypatch.setattr(weights, "list_revisions", lambda: [*finished, "failed", "workspace"])
        monkeypatch.setattr(weights, "exp_show", lambda: [{"rev": rev, "State": "Queued"} for rev in waiting])

    return know


def test_what_has_run_or_waits_is_not_queued_again(known):
    base = run_of(1, 0, 0.9, 0.5, "workspace")
    known(base, run_of(2.0, 0, 0.9, 0.6, "a"), queued=[run_of(3.0, 1, 0.9, 0.5, "b")])
    trials = [(w, s) for s in (0, 1) for w in weights.WEIGHTS]
    assert weights.missing_trials("cat", 2) == [t for t in trials if t not in [(1, 0), (2.0, 0), (3.0, 1)]]


def test_runs_with_other_parameters_or_code_or_older_than_them_do_not_count(known):
    base = run_of(1, 0, 0.9, 0.5, "workspace")
    others = run_of(2.0, 0, 0.9, 0.6, "a", lr=0.2), run_of(3.0, 0, 0.9, 0.6, "b", stale=True)
    known(base, *others, run_of(2.0, 0, 0.9, 0.6, "d", code="2"), run_of("balanced", 0, 0.9, 0.6, "c"))
    assert weights.missing_trials("cat", 1) == [(weight, 0) for weight in weights.WEIGHTS if weight != 1]


def test_the_frontier_has_means_over_seeds_and_marks_what_another_weight_beats(known):
    known(
        run_of(1, 0, 0.90, 0.50, "workspace"),
        run_of(1, 1, 0.92, 0.54, "a"),
        run_of(2.0, 0, 0.90, 0.70, "b"),
        run_of(2.0, 1, 0.90, 0.72, "c"),
        run_of(5.0, 0, 0.89, 0.60, "d"),
    )
    table = weights.frontier("cat")
    assert table["seeds"].to_dict() == {1: 2, 2: 2, 5: 1}
    assert table["accuracy"].tolist() == pytest.approx([0.91, 0.90, 0.89])
    assert table["worst_recall"].tolist() == pytest.approx([0.52, 0.71, 0.60])
    assert table["recall"].tolist() == pytest.approx([0.62, 0.81, 0.70])
    assert table["best"].tolist() == [True, True, False]
    said = weights.describe_frontier(table, "cat")
    assert [line.count("another beats it") for line in said.splitlines()] == [0, 0, 0, 0, 1]
    assert "71.0% ± " in said.splitlines()[3]
    assert "±" not in said.splitlines()[4]
    assert weights.draw_frontier(table, "cat").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("accuracy", "worst_recall", "best"),
    [(0.90, 0.70, [True, True]), (0.90, 0.60, [True, False]), (0.89, 0.70, [True, False]), (0.91, 0.70, [False, True])],
)
def test_of_equals_none_is_beaten_and_where_one_number_is_equal_the_other_decides(known, accuracy, worst_recall, best):
    known(run_of(1, 0, 0.90, 0.70, "workspace"), run_of(2.0, 0, accuracy, worst_recall, "a"))
    assert weights.frontier("cat")["best"].tolist() == best


def test_where_nothing_has_run_with_these_parameters_there_is_no_frontier_yet(known):
    known(run_of(1, 0, 0.9, 0.5, "workspace", stale=True))
    assert len(weights.frontier("cat")) == 0
    assert len(weights.missing_trials("cat", 1)) == len(weights.WEIGHTS)


def test_params_yaml_is_put_back_whatever_dvc_says(workspace, monkeypatch):
    Path("params.yaml").write_text("as it was")
    seen = []

    def refuse(command, **_):
        seen.append(Path("params.yaml").read_text())
        return weights.subprocess.CompletedProcess(command, int(len(seen) == 2), "", "no room")

    monkeypatch.setattr(weights.subprocess, "run", refuse)
    with pytest.raises(InputError, match="no room"):
        weights.queue([(1.0, 0), (2.0, 0), (3.0, 0)], lambda trial: Path("params.yaml").write_text(str(trial)) and None)
    assert seen == ["(1.0, 0)", "(2.0, 0)"]
    assert Path("params.yaml").read_text() == "as it was"
