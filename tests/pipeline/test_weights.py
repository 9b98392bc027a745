"""Pretrained weights are an input like the data: changing them reruns what depends on them, and DVC shares them."""

import re
import shutil
from pathlib import Path

from classifier.files import sha256
from tests.clones import Clone, copy_clone

import pytest

pytestmark = pytest.mark.slow

BASE = "base.safetensors"  # which Git ignores
MODEL, WEIGHTS = "models/classifier.safetensors", "pretrained/weights.safetensors"


@pytest.fixture(scope="module")
def tuned(finished, tmp_path_factory) -> tuple[Clone, list[str], str]:
    """A clone that starts from the finished clone's own checkpoint, what ran for that, and what it printed."""
    clone = copy_clone(finished, tmp_path_factory.mktemp("tuned"))
    shutil.copy(clone.path / MODEL, clone.path / BASE)
    setting = f"{BASE}@sha256:{sha256(clone.path / MODEL)}"
    clone.edit("params.yaml", "pretrained: none", f"pretrained: {setting}")
    clone.edit("params.yaml", "optimizer: muon", "optimizer: sgd")  # muon refuses pretrained weights
    clone.edit("params.yaml", "lr: 0.24", "lr: 0.02")
    output = clone.run("dvc", "repro")
    clone.commit("tuned")
    (clone.path / BASE).unlink()  # whoever fetches again fails
    return clone, re.findall("Running stage '(.+)'", output), output


def test_other_weights_rerun_everything_but_prepare(tuned):
    _, stages, output = tuned
    assert stages == ["weights", "train", "evaluate"]
    assert re.search(r"weights: airbench_small from checkpoint base\.safetensors, \d+ tensors; the head is new", output)


def test_another_learning_rate_does_not_fetch_again(tuned, tmp_path):
    clone = copy_clone(tuned[0], tmp_path)
    clone.edit("params.yaml", "lr: 0.02", "lr: 0.01")
    assert clone.repro() == ["train", "evaluate"]


def test_the_file_is_found_from_a_copy_of_the_repository_without_what_git_ignores(tuned, finished, tmp_path):
    clone = copy_clone(tuned[0], tmp_path)
    shutil.copy(finished.path / MODEL, clone.path / BASE)
    assert clone.run("git", "status", "--short") == ""
    assert "wrote pretrained/" in clone.run("dvc", "exp", "run", "--temp", "--force", "--single-item", "weights")
    assert "reproduced: all 15 outputs" in clone.run("python", "scripts/verify.py")


def test_a_clone_gets_the_weights_from_the_remote_and_trains_the_same_model(tuned, tmp_path):
    clone, _, _ = tuned
    clone.use_remote(tmp_path / "remote")
    clone.run("dvc", "push", "--quiet")
    other = Clone(tmp_path / "clone")
    clone.run("git", "clone", "--quiet", ".", str(other.path))
    other.use_remote(tmp_path / "remote")
    other.run("dvc", "pull", "--quiet", "prepare", "weights")
    assert same(clone.path / WEIGHTS, other.path / WEIGHTS)
    assert not (other.path / MODEL).exists()
    other.run("dvc", "repro", "--single-item", "--force", "train")
    assert same(clone.path / MODEL, other.path / MODEL)


def same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()
