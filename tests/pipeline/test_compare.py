"""scripts/compare.py on real runs: seeds tried as experiments, read back from Git and DVC."""

import json
from pathlib import Path

from tests.clones import Clone, copy_clone, once

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seeds(finished, tmp_path_factory):
    """A clone with experiments, for all tests: two seeds of its parameters (with HEAD), two with a class weight."""

    def build(folder: Path) -> None:
        clone = copy_clone(finished, folder)
        for changes in (
            ["train.seed=1"],
            ["+train.class_weights.nine=2.0"],
            ["train.seed=1", "+train.class_weights.nine=2.0"],
        ):
            options = [word for change in changes for word in ("--set-param", change)]
            clone.run("dvc", "exp", "run", "--temp", *options)

    return Clone(once(tmp_path_factory, "seeds", build) / "clone")


def compare(clone: Clone, *arguments: str) -> dict:
    return json.loads(clone.run("python", "scripts/compare.py", "--json", *arguments))


@pytest.fixture(scope="module")
def weighted(seeds):
    """The name of an experiment with a class weight."""
    return compare(seeds)["groups"][1]["runs"][0]["rev"]


def test_experiments_are_grouped_by_their_parameters_and_compared_with_head(seeds):
    report = compare(seeds)
    assert [group["changes"] for group in report["groups"]] == [[], ["train.class_weights.nine=2.0"]]
    assert [[run["seeds"]["train.seed"] for run in group["runs"]] for group in report["groups"]] == [[0, 1], [0, 1]]
    assert report["groups"][0]["runs"][0]["rev"] == "HEAD"
    assert report["notes"] == ["workspace is the same run as HEAD: counted once."]
    (comparison,) = report["comparisons"]
    assert (comparison["method"], comparison["pairs"]) == ("paired t", 2)
    assert {"val.accuracy", "test.recall.nine"} <= comparison["metrics"].keys()


def test_an_experiment_is_read_from_its_commit(seeds, weighted):
    ref = seeds.run("git", "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{weighted}").strip()
    metrics = json.loads(seeds.run("git", "show", f"{ref}:metrics.json"))
    group = compare(seeds, "baseline", weighted)["groups"][1]
    assert group["metrics"]["val.loss"]["mean"] == metrics["val"]["loss"]
    assert group["metrics"]["test.recall.nine"]["mean"] == metrics["test"]["recall"]["nine"]


def test_two_single_runs_are_compared_by_their_predictions(seeds, weighted):
    (comparison,) = compare(seeds, "baseline", weighted)["comparisons"]
    found = comparison["predictions"]
    right = comparison["metrics"]["test.accuracy"]["difference"] * found["images"]
    assert found["only_other"] - found["only_reference"] == round(right)


def test_git_alone_is_enough_for_the_metrics(seeds, weighted, tmp_path):
    clone = Clone(tmp_path / "clone")
    seeds.run("git", "clone", "--quiet", ".", str(clone.path))
    clone.run("git", "fetch", "--quiet", "origin", "refs/exps/*:refs/exps/*")
    clone.run("dvc", "remote", "modify", "--local", "storage", "url", str(tmp_path / "empty"))
    (clone.path / "metrics.json").unlink()
    here, there = compare(seeds, "baseline", weighted), compare(clone, "baseline", weighted)
    assert there["groups"] == here["groups"]
    assert there["comparisons"][0]["metrics"] == here["comparisons"][0]["metrics"]
    assert "neither in DVC's cache nor in a remote" in there["comparisons"][0]["predictions"]["error"]
    assert "No test on single predictions" in clone.run("python", "scripts/compare.py", "baseline", weighted)


def test_a_change_of_code_is_a_difference_and_an_uncommitted_result_is_the_workspace(pipeline):
    pipeline.edit("evaluate.py", "CROSS_SECTION = 32", "CROSS_SECTION = 24")
    pipeline.run("dvc", "repro")
    report = compare(pipeline, "HEAD", "workspace")
    assert [group["changes"] for group in report["groups"]] == [[], ["evaluate.py changed"]]


def test_parameters_that_were_not_run_are_pointed_out(pipeline):
    pipeline.edit("params.yaml", "tta: none", "tta: flip")
    assert "Note: workspace: metrics.json is older" in pipeline.run("python", "scripts/compare.py", "workspace")


@pytest.mark.parametrize(
    ("rev", "message"), [("nonesuch", "'nonesuch' is no revision"), ("baseline~1", "baseline~1 has no metrics.json")]
)
def test_a_revision_without_results_ends_in_one_sentence(pipeline, rev, message):
    output = pipeline.run("sh", "-c", f"python scripts/compare.py baseline {rev}; echo exit status $?")
    assert output.startswith(f"error: {message}")
    assert len(output.splitlines()) == 2
    assert output.endswith("exit status 1\n")
