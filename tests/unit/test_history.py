"""classifier/runs/history.py: every run of Git and DVC is found, once, and what is left out is said."""

from classifier.errors import InputError
from classifier.runs import history
from classifier.runs.history import collect, list_unfinished
from tests.experiments import Repository, git

import pytest


def test_tags_branches_experiments_and_the_workspace_are_found_head_first_then_the_newest(repository):
    records, notes = collect()
    assert [each.run.rev for each in records] == ["main", *(f"exp-{i:03}" for i in range(6, 1, -1)), "baseline"]
    assert records[0].names == ["main", "HEAD", "workspace"]
    assert (records[0].commit.message, records[0].commit.time) == ("Run 1", 1_790_000_060)
    assert [each.experiment for each in records] == [False, *[True] * 5, False]
    assert notes == []


def test_a_commit_that_changes_no_result_is_no_other_run(repository):
    git("commit", "--quiet", "--allow-empty", "--message", "A README")
    records, _ = collect()
    assert len(records) == 7
    assert (records[0].names, records[0].commit.message) == (["main", "HEAD", "workspace"], "Run 1")


def test_a_commit_without_a_name_is_a_run_by_itself(repository):
    git("tag", "--delete", "baseline")
    assert collect()[0][-1].run.rev == git("rev-parse", "main~1")[:7]


def test_a_message_may_hold_what_looks_like_the_end_of_a_line(repository):
    git("tag", "odd\u2028name", "main")
    git("commit", "--quiet", "--allow-empty", "--message", "form\x0cfeed \u2028 and\x1cmore")
    assert collect()[0][0].names == ["odd\u2028name", "main", "HEAD", "workspace"]


def test_more_revisions_need_no_more_processes(workspace, monkeypatch):
    started = []
    original = history._run_git
    monkeypatch.setattr(history, "_run_git", lambda *args, **more: started.append(args) or original(*args, **more))
    Repository(workspace, 40, images=20)
    assert len(collect()[0]) == 40
    assert len(started) <= 8


def test_of_too_many_runs_the_newest_are_taken_and_it_is_said(repository):
    records, notes = collect(most=3)
    assert [each.run.rev for each in records] == ["main", "exp-006", "exp-005"]
    assert notes == ["There are 7 runs: only the newest 3 are shown."]


def test_results_that_do_not_belong_to_the_parameters_are_left_out_with_a_sentence(repository):
    params = repository.folder / "params.yaml"
    params.write_text(params.read_text().replace("momentum: 0.6", "momentum: 0.9"))
    records, notes = collect()
    assert "workspace" not in records[0].names
    assert notes == [f"workspace: {history.OLDER} Left out."]


def test_a_damaged_file_is_left_out_with_a_sentence(repository):
    (repository.folder / "metrics.json").write_text("{")
    git("commit", "--quiet", "--all", "--message", "damaged")
    records, notes = collect()
    assert len(records) == 7
    assert len(notes) == 1
    assert notes[0].startswith("metrics.json of main cannot be read")


def test_failed_and_waiting_experiments_are_named(repository):
    head = git("rev-parse", "HEAD")
    for ref, name in (("failed", "bold-idea"), ("stash", "next-idea")):
        message = f"commit: dvc-exp:{head}:{head}:{name}"
        git("update-ref", "--create-reflog", "-m", message, f"refs/exps/celery/{ref}", head)
    assert list_unfinished() == [
        "The experiment bold-idea failed and has no results; `dvc queue logs bold-idea` says why.",
        "The experiment next-idea is queued or running and has no results.",
    ]


def test_without_git_it_ends_in_a_sentence(workspace, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workspace.parent))
    with pytest.raises(InputError, match="Git cannot list runs: fatal: not a git repository"):
        collect()
