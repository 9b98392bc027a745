"""Two tagged results: compared from Git alone, drawn side by side, and brought back bit for bit."""

import json

from tests.clones import Clone, copy_clone

import pytest

pytestmark = pytest.mark.slow

MODEL, TAGS = "models/classifier.safetensors", ("baseline", "weighted")


def cached(clone: Clone) -> list[str]:
    return [path.name for path in (clone.path / ".dvc" / "cache").rglob("*") if path.is_file()]


def recorded(clone: Clone, tag: str) -> dict:
    return json.loads(clone.run("git", "show", f"{tag}:metrics.json"))


def plots(clone: Clone) -> tuple[str, str, list[str]]:
    """What `dvc plots diff` prints, its page and the pictures beside that."""
    output = clone.run("dvc", "plots", "diff", *TAGS, "--out", "page")
    page = (clone.path / "page" / "index.html").read_text()
    return output, page, sorted(path.name for path in clone.path.glob("page/static/*"))


def test_git_alone_is_enough_to_compare_metrics(fresh):
    found = json.loads(fresh.run("dvc", "metrics", "diff", *TAGS, "--json"))["metrics.json"]
    old, new = (recorded(fresh, tag)["val"]["loss"] for tag in TAGS)
    assert old != new
    assert (found["val.loss"]["old"], found["val.loss"]["new"]) == (old, new)
    assert found["val.loss"]["diff"] == pytest.approx(new - old)
    assert cached(fresh) == []


def test_git_alone_is_enough_to_compare_parameters(fresh):
    found = json.loads(fresh.run("dvc", "params", "diff", *TAGS, "--json"))
    assert found == {"params.yaml": {"train.class_weights.nine": {"old": None, "new": 2.0}}}


def test_git_alone_is_enough_for_compare(fresh):
    report = json.loads(fresh.run("python", "scripts/compare.py", *TAGS, "--json"))
    assert [group["changes"] for group in report["groups"]] == [[], ["train.class_weights.nine=2.0"]]
    old, new = (recorded(fresh, tag)["val"]["loss"] for tag in TAGS)
    assert report["comparisons"][0]["metrics"]["val.loss"]["difference"] == pytest.approx(new - old)
    assert cached(fresh) == []


def test_the_exact_models_come_back(versions, tmp_path):
    clone = copy_clone(versions, tmp_path)
    models = {}
    for tag in (*reversed(TAGS), *reversed(TAGS)):
        clone.run("git", "checkout", "--quiet", tag)
        clone.run("dvc", "checkout", "--quiet")
        model = (clone.path / MODEL).read_bytes()
        assert models.setdefault(tag, model) == model
        assert clone.repro() == []
        assert clone.run("git", "status", "--porcelain") == ""
    assert models["baseline"] != models["weighted"] == (versions.path / MODEL).read_bytes()


def test_another_clone_pulls_the_exact_old_model(finished, versions, fresh):
    fresh.use_remote(versions.path.parent / "remote")
    fresh.run("git", "checkout", "--quiet", "baseline")
    fresh.run("dvc", "pull", "--quiet", MODEL)
    assert (fresh.path / MODEL).read_bytes() == (finished.path / MODEL).read_bytes()


def test_plots_show_both_versions_also_without_a_cache(versions, fresh, tmp_path):
    fresh.use_remote(versions.path.parent / "remote")
    for clone in (copy_clone(versions, tmp_path / "own"), fresh):
        _, page, pictures = plots(clone)
        assert pictures == [f"{tag}_plots_{name}.png" for tag in TAGS for name in ("mistakes", "predictions")]
        for title in ("Loss per epoch", "Accuracy per epoch", "share of each class", "what each class is taken for"):
            assert title in page
        for tag in TAGS:
            assert f'"rev": "{tag}"' in page
    assert cached(fresh) == []  # DVC streamed what it drew


def test_plots_need_a_cache_or_a_remote_and_say_so(fresh):
    output, page, pictures = plots(fresh)
    assert f"DVC failed to load some plots for following revisions: '{', '.join(TAGS)}'." in output
    assert pictures == []
    assert "Loss per epoch" not in page
