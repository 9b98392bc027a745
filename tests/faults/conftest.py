"""A folder in which trainings are begun and disturbed: the test file's PARAMS and IMAGES say of what."""

import shutil
from pathlib import Path

from tests.clones import ROOT, Clone

import pytest

RESULTS = ["models/classifier.safetensors", "plots/history.csv"]


def copy_code(folder: Path) -> None:
    for name in ("prepare.py", "train.py"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "classifier", folder / "classifier", ignore=shutil.ignore_patterns("__pycache__"))


def results() -> dict[str, bytes]:
    return {name: Path(name).read_bytes() for name in RESULTS}


def remove_results() -> None:
    for name in RESULTS:
        Path(name).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A copy of the code."""
    folder = tmp_path_factory.mktemp("training")
    copy_code(folder)
    return folder


@pytest.fixture
def training(request, folder, monkeypatch, small_dataset, params) -> Path:
    """The folder, with data prepared and no results in it."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DEVICE", "cpu")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    Path("params.yaml").write_text(params(request.module.PARAMS))
    if not Path("prepared").exists():
        small_dataset(folder / "data", **request.module.IMAGES)
        Clone(folder).run("python", "prepare.py")
    remove_results()
    return folder


@pytest.fixture(scope="module")
def cache() -> dict:
    """What a module's undisturbed training has written, once it has run."""
    return {}
