"""Scratch clones of the repository, some with digits as their data, in which the whole pipeline has run."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


class Clone:
    """A working copy of the repository, with the tools of this environment on its PATH."""

    def __init__(self, path: Path, environment: dict[str, str] | None = None, umask: int = -1):
        self.path, self.environment, self.umask = path, environment or {}, umask

    def start(self, *command: str, stdin: int | None = None) -> subprocess.Popen:
        """Start a command in the clone, in a process group of its own."""
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.path),  # its own code, not that which is installed
            **self.environment,
        }
        return subprocess.Popen(
            command,
            cwd=self.path,
            env=environment,
            umask=self.umask,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, check: bool = True, timeout: float = 900) -> str:
        """Run a command in the clone; returns what it printed. One that takes more than `timeout` seconds fails."""
        process = self.start(*command)
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        assert not check or process.returncode == 0, f"{' '.join(command)} exited {process.returncode}:\n{output}"
        return output

    def repro(self, *options: str) -> list[str]:
        """The stages that `dvc repro` runs."""
        lines = self.run("dvc", "repro", *options).splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage")]

    def would_run(self) -> list[str]:
        """The stages that `dvc repro --dry` starts, asked in this process: a new one for each question is slow."""
        from dvc.repo import Repo

        with contextlib.chdir(self.path), Repo(self.path) as repo:
            return [stage.name for stage in repo.reproduce(dry=True) if stage.addressing != "data.dvc"]

    def use_remote(self, url: Path | str, **settings: str) -> None:
        """Set the remote as a person does who keeps its address out of Git: `dvc remote modify --local storage …`."""
        from dvc.config import Config

        with Config(self.path / ".dvc").edit("local") as config:
            config["remote"] = {"storage": {"url": str(url), **settings}}

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.path / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new, 1))

    def commit(self, message: str) -> None:
        self.run("git", "add", ".")
        self.run("git", "commit", "--quiet", "--message", message)


def copy_tree(target: Path) -> Clone:
    """A clone of the files as they are now, committed or not."""
    target.mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    clone = Clone(target)
    clone.run("git", "init", "--quiet", "--initial-branch", "main")
    clone.commit("start")
    return clone


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Clone:
    """Digits, two epochs, `dvc repro` run, committed and tagged `baseline`."""
    clone = copy_tree(tmp_path_factory.mktemp("pipeline") / "clone")
    shutil.copy(ROOT / "scripts" / "digits.yaml", clone.path / "params.yaml")
    params = clone.path / "params.yaml"
    params.write_text(re.sub(r"epochs: \d+", "epochs: 2", params.read_text()))
    clone.run("python", "scripts/get_data.py", "digits")
    clone.run("dvc", "add", "--quiet", "data")
    clone.run("dvc", "repro")
    clone.commit("baseline")
    clone.run("git", "tag", "baseline")
    return clone


@pytest.fixture
def pipeline(finished: Clone):
    """The finished clone; what a test changes in it is put back afterwards."""
    yield finished
    finished.run("git", "reset", "--quiet", "--hard", "baseline")
    finished.run("git", "clean", "--quiet", "--force", "-d")
    finished.run("dvc", "checkout", "--quiet", "--force")


@pytest.fixture
def own(finished: Clone, tmp_path_factory) -> Clone:
    """A copy of the finished clone with a cache of its own, so that nothing other tests trained is in it."""
    return copy_clone(finished, tmp_path_factory)


def copy_clone(clone: Clone, tmp_path_factory) -> Clone:
    """A copy that shares nothing, but for the files in DVC's cache, which are read-only and never change."""

    def copy(source: str, target: str) -> None:
        (os.link if "/.dvc/cache/files/" in source else shutil.copy2)(source, target)

    target = tmp_path_factory.mktemp("own") / "clone"
    return Clone(shutil.copytree(clone.path, target, symlinks=True, copy_function=copy))


@pytest.fixture(scope="session")
def versions(finished: Clone, tmp_path_factory) -> Clone:
    """Two results: of the branch main, tagged `baseline`, and of the branch change, tagged `weighted` and checked out.

    The folder remote/ beside the clone is its remote, and holds both.
    """
    clone = copy_clone(finished, tmp_path_factory)
    clone.use_remote(clone.path.parent / "remote")
    clone.run("dvc", "push", "--quiet")
    clone.run("git", "checkout", "--quiet", "-b", "change")
    clone.edit("params.yaml", "class_weights: {}", "class_weights: {nine: 2.0}")
    clone.run("dvc", "repro")
    clone.commit("weighted")
    clone.run("git", "tag", "weighted")
    clone.run("dvc", "push", "--quiet")
    return clone


@pytest.fixture
def fresh(versions: Clone, tmp_path) -> Clone:
    """What Git has of `versions`: its files and history, neither a cache nor a remote."""
    clone = Clone(tmp_path / "clone")
    versions.run("git", "clone", "--quiet", ".", str(clone.path))
    clone.use_remote(tmp_path / "nothing")
    return clone
