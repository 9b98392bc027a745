"""scripts/gate.py on real results: a branch with another class weight, and what may be wrong with it."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from classifier.errors import InputError
from tests.clones import ROOT, Clone, copy_clone

import gate
import pytest
import yaml

from .remotes import closed_port

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")]  # dvc's own

MODEL = "models/classifier.safetensors"


@pytest.fixture
def change(versions, tmp_path_factory) -> Clone:
    """A branch that is ready to be merged into main, with a remote of its own: a test may spoil both."""
    clone = copy_clone(versions, tmp_path_factory.mktemp("change"))
    shutil.copytree(versions.path.parent / "remote", remote(clone))
    clone.use_remote(remote(clone))
    return clone


def remote(clone: Clone) -> Path:
    return clone.path.parent / "remote"


def ask(clone: Clone, *arguments: str) -> tuple[bool, list[str], str]:
    """Whether the gate lets the change pass, its findings and its whole report; in this process, to be quick."""
    with (
        contextlib.chdir(clone.path),
        contextlib.redirect_stdout(io.StringIO()) as output,
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(SystemExit) as end,
    ):
        patch.setattr(sys, "argv", ["gate.py", *arguments])
        gate.main()
    report = output.getvalue()
    findings = [line.removeprefix("- ") for line in report.splitlines() if line.startswith("- ")]
    assert report.startswith(f"# Gate {'failed' if end.value.code else 'passed'}\n")
    return not end.value.code, findings, report


def rewrite_base(clone: Clone, **val: float) -> None:
    """Let the commit that the change is compared with, a new one, have other metrics of the validation split."""
    path = clone.path / "metrics.json"
    original = path.read_text()
    metrics = json.loads(original)
    metrics["val"] |= val
    path.write_text(json.dumps(metrics))
    clone.commit("another base")
    clone.run("git", "tag", "base")
    path.write_text(original)
    clone.commit("the change")


def row(report: str, name: str) -> list[str]:
    line = next(line for line in report.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_a_good_change_passes_and_its_report_has_the_numbers_and_pictures(change):
    passed, findings, report = ask(change, "--report", "report")
    assert (passed, findings) == (True, [])
    commit = change.run("git", "rev-parse", "--short", "baseline").strip()
    assert f"Compared with main at {commit}, where HEAD left it." in report
    old, new = (json.loads(change.run("git", "show", f"{tag}:metrics.json")) for tag in ("baseline", "weighted"))
    difference = new["test"]["loss"] - old["test"]["loss"]
    word = "worse" if difference > 0 else "better"
    expected = [f"{old['test']['loss']:.4f}", f"{new['test']['loss']:.4f}", f"{difference:+.4f} {word}"]
    assert row(report, "test.loss") == expected
    assert row(report, "**val.accuracy**")[:2] == [f"{m['val']['accuracy']:.4f}" for m in (old, new)]
    assert row(report, "val.recall.nine")[:2] == [f"{m['val']['recall']['nine']:.4f}" for m in (old, new)]
    assert row(report, "train.class_weights.nine") == ["–", "2.0"]
    assert "Data and code: nothing." in report
    assert "test images" in report
    assert "McNemar's exact test" in report
    folder = change.path / "report"
    assert (folder / "report.md").read_text().startswith(report.strip())
    for name in ("predictions.png", "mistakes.png"):
        assert f"]({name})" in (folder / "report.md").read_text()
        assert (folder / name).read_bytes() == (change.path / "plots" / name).read_bytes()


def test_a_clone_without_a_cache_comes_to_the_same_report(change, fresh):
    fresh.use_remote(remote(change))
    (_, _, here), (passed, _, there) = ask(change), ask(fresh, "--report", "report")
    assert passed
    assert there == here.replace("Compared with main", "Compared with origin/main")
    assert (fresh.path / "report" / "mistakes.png").read_bytes() == (change.path / "plots/mistakes.png").read_bytes()
    assert not (fresh.path / "models").exists()  # nothing was pulled


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("params.yaml", "tta: none", "tta: flip", "params.yaml"),
        (
            "classifier/results/metrics.py",
            "CALIBRATION_BINS = 15",
            "CALIBRATION_BINS = 10",
            "classifier/results/metrics.py",
        ),
        ("data.dvc", "md5: ", "md5: 0", "data"),
    ],
)
def test_results_that_were_not_made_anew_do_not_pass(fresh, versions, file, old, new, named):
    fresh.use_remote(remote(versions))
    fresh.edit(file, old, new)
    passed, findings, _ = ask(fresh)
    assert not passed
    sentence = "changed since dvc.lock was written: run `dvc repro`, commit dvc.lock and metrics.json."
    assert findings[0] == f"{named} {sentence}"


def test_metrics_edited_by_hand_do_not_pass(change):
    metrics = json.loads((change.path / "metrics.json").read_text())
    metrics["val"]["accuracy"] = 0.999
    (change.path / "metrics.json").write_text(json.dumps(metrics))
    passed, findings, _ = ask(change)
    assert not passed
    assert findings == ["metrics.json is not the one that dvc.lock records: `dvc repro` brings that back."]


@pytest.mark.parametrize("lost", [MODEL, "data"])
def test_what_is_missing_on_the_remote_is_named(change, fresh, lost):
    path = change.path / lost
    if lost == "data":  # of which a single image is lost
        path = next(path.rglob("*.png"))
    content = path.read_bytes()
    (stored,) = (file for file in remote(change).rglob("*") if file.is_file() and file.read_bytes() == content)
    stored.unlink()
    fresh.use_remote(remote(change))
    for clone in (change, fresh):
        passed, findings, _ = ask(clone)
        assert not passed
        assert findings == [f"Missing on the remote, wholly or in part: {lost}; `dvc push` puts it there."]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/nonexistent/folder", "The remote `storage` holds nothing of this, or cannot be reached"),
        ("http://127.0.0.1:{port}/", "The remote `storage` holds nothing of this, or cannot be reached"),
        ("ssh://127.0.0.1:{port}/folder", "The remote `storage` does not say what it holds: "),
    ],
)
def test_a_remote_that_cannot_be_reached_is_one_finding_among_others(change, url, message):
    with closed_port() as port:
        change.use_remote(url.format(port=port))
    change.edit("params.yaml", "tta: none", "tta: flip")
    passed, findings, report = ask(change)
    assert not passed
    assert len(findings) == 2
    assert findings[1].startswith(message)
    assert row(report, "**val.accuracy**")


def test_a_metric_may_fall_by_the_margin_and_no_more(change):
    val = json.loads((change.path / "metrics.json").read_text())["val"]
    rewrite_base(change, accuracy=round(val["accuracy"] + 0.03, 5), loss=round(val["loss"] - 0.5, 5))
    passed, findings, report = ask(change, "base")
    assert not passed
    (finding,) = findings
    assert finding.startswith("val.accuracy fell by 0.0300")
    assert row(report, "**val.accuracy**")[2] == "-0.0300 worse"
    assert ask(change, "base", "--margin", "0.03")[0]
    _, findings, _ = ask(change, "base", "--metric", "val.loss", "--metric", "val.macro_recall")
    assert [finding.split(",")[0] for finding in findings] == ["val.loss rose by 0.5000"]


def test_the_branch_is_not_blamed_for_what_became_better_on_main_since(change):
    change.run("git", "branch", "mine")
    rewrite_base(change, accuracy=1.0)
    change.run("git", "branch", "--force", "main", "base")
    change.run("git", "checkout", "--quiet", "mine")
    change.run("git", "branch", "--force", "main", "base")
    assert ask(change)[0]


def test_a_first_result_passes_without_anything_to_compare_with(change):
    passed, findings, report = ask(change, "baseline~1")
    assert (passed, findings) == (True, [])
    assert "No metrics are compared, as is right for a first result: " in report
    assert row(report, "**val.accuracy**")[0] == "–"


def test_an_unknown_revision_and_missing_results_are_errors_of_one_sentence(change):
    with pytest.raises(InputError, match="Git knows no nonesuch here"):
        ask(change, "nonesuch")
    (change.path / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"workspace has no metrics.json: run `dvc repro`"):
        ask(change)


def run_workflow(clone: Clone, summary: Path) -> dict[str, int]:
    """Run what the workflow's steps run, but for the set-up, as GitHub does; returns their exit statuses."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "gate.yml").read_text())
    assert workflow["defaults"]["run"]["shell"] == "bash"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GITHUB_BASE_REF": "main",
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    steps = [step for step in workflow["jobs"]["gate"]["steps"] if "make setup" not in step.get("run", "make setup")]
    return {
        step["name"]: subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], cwd=clone.path, env=environment
        ).returncode
        for step in steps
    }


def test_the_steps_of_the_workflow_run_and_write_what_it_uploads(versions, fresh, tmp_path):
    fresh.use_remote(remote(versions))
    summary = tmp_path / "summary.md"
    assert run_workflow(fresh, summary) == {"Gate": 0, "Plots before and after": 0}
    assert summary.read_text().startswith("# Gate passed\n")
    files = {str(path.relative_to(fresh.path)) for path in fresh.path.glob("report/**/*")}
    assert {"report/report.md", "report/mistakes.png", "report/plots/index.html"} <= files
    assert "report/plots/static/workspace_plots_mistakes.png" in files
    assert fresh.run("git", "status", "--porcelain") == ""


def test_the_workflow_fails_where_the_gate_does(versions, fresh, tmp_path):
    fresh.use_remote(remote(versions))
    fresh.edit("params.yaml", "tta: none", "tta: flip")
    summary = tmp_path / "summary.md"
    assert run_workflow(fresh, summary)["Gate"] == 1
    assert summary.read_text().startswith("# Gate failed\n\n- params.yaml changed")
