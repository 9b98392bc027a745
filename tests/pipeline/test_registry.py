"""A version is registered with a Git tag; who has only the Git URL gets its checkpoint and uses it."""

import hashlib
import json

from tests.clones import ROOT, Clone, copy_clone

import pytest
import yaml

pytestmark = pytest.mark.slow

MODEL = "models/classifier.safetensors"
NAME = "classifier"


@pytest.fixture(scope="module")
def published(finished, tmp_path_factory) -> tuple[Clone, str]:
    """A clone whose first version is registered and pushed, and the Git URL it was pushed to."""
    folder = tmp_path_factory.mktemp("published")
    clone = copy_clone(finished, folder)
    url = str(folder / "repository.git")
    clone.run("dvc", "remote", "modify", "storage", "url", str(folder / "store"))
    clone.commit("A remote that others reach")
    clone.run("git", "tag", "--force", "baseline")
    clone.run("git", "init", "--quiet", "--bare", "--initial-branch", "main", url)
    clone.run("git", "remote", "add", "origin", url)
    clone.run("gto", "register", NAME)
    clone.run("dvc", "push", "--quiet", MODEL)
    clone.run("git", "push", "--quiet", "origin", "HEAD", f"{NAME}@v0.0.1", "baseline")
    return clone, url


def recorded_md5(clone: Clone) -> str:
    lock = yaml.safe_load((clone.path / "dvc.lock").read_text())
    return next(out["md5"] for out in lock["stages"]["train"]["outs"] if out["path"] == MODEL)


def test_registering_makes_an_annotated_tag_and_gto_lists_it(published):
    clone, _ = published
    assert clone.run("git", "cat-file", "-t", f"{NAME}@v0.0.1").strip() == "tag"
    assert "v0.0.1" in clone.run("gto", "show", NAME)
    assert clone.run("git", "status", "--short") == ""


@pytest.mark.parametrize(
    ("what", "rev"),
    [(["artifacts", "get", NAME], "v0.0.1"), (["get", MODEL], "baseline"), (["get", MODEL], f"{NAME}@v0.0.1")],
    ids=["version", "tag", "version as a tag"],
)
def test_the_git_url_is_enough_to_get_the_checkpoint_and_classify_an_image(published, tmp_path, what, rev):
    producer, url = published
    *command, target = what
    consumer = Clone(tmp_path, {"PYTHONPATH": str(ROOT)})
    consumer.run("dvc", *command, url, target, "--rev", rev)
    checkpoint = tmp_path / "classifier.safetensors"
    digest = hashlib.md5(checkpoint.read_bytes(), usedforsecurity=False).hexdigest()
    assert digest == recorded_md5(producer)
    image = next((producer.path / "data" / "test" / "nine").iterdir())
    answer = consumer.run("python", str(ROOT / "scripts" / "predict.py"), checkpoint.name, str(image), "--json")
    assert json.loads(answer)[0]["path"] == str(image)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.name]


def test_a_version_that_does_not_exist_is_named(published, tmp_path):
    _, url = published
    output = Clone(tmp_path).run("dvc", "artifacts", "get", url, NAME, "--rev", "v9.9.9", check=False)
    assert f"Unable to find artifact '{NAME} @ v9.9.9'" in output
    assert not any(tmp_path.iterdir())
