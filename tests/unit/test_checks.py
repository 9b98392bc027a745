"""What is checked before a commit and on GitHub: the hooks of pre-commit and the workflows."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

import nbformat
import pytest
import yaml


def notebook(outputs: list) -> str:
    cell = nbformat.v4.new_code_cell("1", outputs=outputs, id="a")
    return nbformat.writes(nbformat.v4.new_notebook(cells=[cell])) + "\n"


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
OUTPUT = nbformat.v4.new_output("stream", text="hello")
# For each hook a file that it objects to, and one that it lets pass.
FILES = {
    "ruff": ("wrong.py", "import os\n", "VALUE = 1\n"),
    "ruff-format": ("wrong.py", "VALUE=1\n", "VALUE = 1\n"),
    "clear-notebooks": (
        "notebooks/wrong.ipynb",
        notebook([OUTPUT]),
        notebook([]),
    ),
    "large-files": ("wrong.bin", "x" * 600_000, "x"),
    "yaml": ("wrong.yaml", "a: [\n", "a: []\n"),
}


@pytest.fixture
def repository(tmp_path):
    """A new repository with the project's hooks and this environment."""
    for name in (".pre-commit-config.yaml", "Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def check(repository: Path, hook: str) -> subprocess.CompletedProcess:
    subprocess.run(["git", "add", "."], cwd=repository, check=True)
    command = [Path(sys.prefix) / "bin" / "pre-commit", "run", "--all-files", hook]
    environment = os.environ | {"PRE_COMMIT_HOME": str(repository / ".git" / "pre-commit")}
    return subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)


def test_every_hook_is_tried_here():
    [repo] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"
    assert [hook["id"] for hook in repo["hooks"]] == list(FILES)


@pytest.mark.parametrize("hook", FILES)
def test_a_hook_objects_to_what_is_wrong_and_to_nothing_else(repository, hook):
    name, wrong, right = FILES[hook]
    path = repository / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(right)
    done = check(repository, hook)
    assert done.returncode == 0, done.stdout + done.stderr
    path.write_text(wrong)
    done = check(repository, hook)
    assert done.returncode == 1
    assert "Failed" in done.stdout


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_their_commit_and_say_which_version_it_is(workflow):
    used = re.findall(r"uses: (.+)", workflow.read_text())
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)] == []


def test_an_action_has_the_same_commit_in_every_workflow():
    used = {action for path in WORKFLOWS for action in re.findall(r"uses: (.+)", path.read_text())}
    assert len(used) == len({action.partition("@")[0] for action in used})


def test_each_target_that_a_workflow_makes_exists():
    targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text())
    made = {target for path in WORKFLOWS for target in re.findall(r"make ([a-z-]+)", path.read_text())}
    assert {"setup", "lint", "test-fast"} <= made <= set(targets)
