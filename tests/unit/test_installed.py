"""The project is installed; nothing sets sys.path, and each copy of the project runs its own code."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

import pytest

TELL = "import classifier.errors; print(classifier.errors.__file__)"


@pytest.fixture
def other(tmp_path):
    """Another copy of the project, whose errors begin otherwise; no environment belongs to it."""
    for name in ("classifier", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / "other" / name, ignore=shutil.ignore_patterns("__pycache__"))
    errors = tmp_path / "other" / "classifier" / "errors.py"
    errors.write_text(errors.read_text().replace('f"error: {error}"', 'f"error of the other copy: {error}"'))
    return tmp_path / "other"


def python(*arguments: str | Path, cwd: Path) -> str:
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout


def test_from_any_folder_the_installed_project_is_found(tmp_path):
    assert python("-c", TELL, cwd=tmp_path).strip() == str(ROOT / "classifier" / "errors.py")


def test_in_the_folder_of_another_copy_that_one_is_found(other):
    assert python("-c", TELL, cwd=other).strip() == str(other / "classifier" / "errors.py")


@pytest.mark.parametrize("copy, said", [("other", "error of the other copy: "), ("installed", "error: ")])
def test_a_script_runs_the_code_beside_it_wherever_it_is_started(other, tmp_path, copy, said):
    script = (other if copy == "other" else ROOT) / "scripts" / "pack.py"
    done = subprocess.run([sys.executable, script, "in", "out"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.startswith(f"{said}in/train/ not found")


def test_nothing_sets_sys_path():
    folders = ("scripts", "notebooks", "bench", "docs", "classifier")
    files = [*ROOT.glob("*.py"), *(path for folder in folders for path in (ROOT / folder).rglob("*.py"))]
    assert len(files) > 40
    assert [str(path) for path in files if "sys.path" in path.read_text()] == []
