"""Scratch clones of the repository, some with digits as their data, in which the whole pipeline has run."""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


class Clone:
    """A working copy of the repository, with the tools of this environment on its PATH.

    Its `python` and `dvc` are forked from the warm process; with `cold`, and outside Linux, they start as usual.
    """

    def __init__(self, path: Path, environment: dict[str, str] | None = None, umask: int = -1, cold: bool = False):
        self.path, self.umask = path, umask
        tools = [str(Path(sys.executable).parent), os.environ["PATH"]]
        if "WARM_PROGRAMS" in os.environ and not cold:
            tools.insert(0, os.environ["WARM_PROGRAMS"])
        self.environment = {
            "PATH": os.pathsep.join(tools),
            "PYTHONPATH": str(path),  # its own code, not that which is installed
            **(environment or {}),
        }

    def start(self, *command: str, stdin: int | None = None) -> subprocess.Popen:
        """Start a command in the clone, in a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.path,
            env=os.environ | self.environment,
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

    def checkout(self) -> None:
        """`dvc checkout --force`, in this process."""
        from dvc.repo import Repo

        with contextlib.chdir(self.path), Repo(self.path) as repo:
            repo.checkout(force=True)

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


def shrink_photos(clone: Clone) -> None:
    """Let the clone's recipe for photographs take images of a quarter of their side, and few epochs, to be quick."""
    for name, old, new in (("image_size", 288, 72), ("image_size", 256, 64), ("epochs", 60, 5)):
        clone.edit("recipes/photos-frozen.yaml", f"{name}: {old}", f"{name}: {new}")


def once(tmp_path_factory, name: str, build: Callable[[Path], None]) -> Path:
    """A folder that the first of the test processes that need it builds, for all: none may change it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, ready = shared / name, shared / f"{name}.ready"
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what another has left who failed
            folder.mkdir()
            build(folder)
            ready.touch()
    return folder


def copy_clone(clone: Clone, folder: Path) -> Clone:
    """A copy that shares nothing, but for the files in DVC's cache, which are read-only and never change."""

    def copy(source: str, target: str) -> None:
        (os.link if "/.dvc/cache/files/" in source else shutil.copy2)(source, target)

    return Clone(shutil.copytree(clone.path, folder / "clone", symlinks=True, copy_function=copy))


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Clone:
    """Digits, two epochs, `dvc repro` run, committed and tagged `baseline`. No test may change it."""

    def build(folder: Path) -> None:
        clone = copy_tree(folder / "clone")
        shutil.copy(ROOT / "recipes" / "digits.yaml", clone.path / "params.yaml")
        params = clone.path / "params.yaml"
        params.write_text(re.sub(r"(?m)^  epochs: \d+", "  epochs: 2", params.read_text()))
        clone.run("python", "scripts/get_data.py", "digits")
        clone.run("dvc", "add", "--quiet", "data")
        clone.run("dvc", "repro")
        clone.commit("baseline")
        clone.run("git", "tag", "baseline")

    return Clone(once(tmp_path_factory, "finished", build) / "clone")


@pytest.fixture(scope="session")
def _workbench(finished: Clone, tmp_path_factory) -> Clone:
    return copy_clone(finished, tmp_path_factory.mktemp("pipeline"))


@pytest.fixture
def pipeline(_workbench: Clone):
    """A copy of the finished clone; what a test changes in it is put back afterwards."""
    yield _workbench
    _workbench.run("git", "reset", "--quiet", "--hard", "baseline")
    _workbench.run("git", "clean", "--quiet", "--force", "-d")
    _workbench.checkout()


@pytest.fixture
def own(finished: Clone, tmp_path_factory) -> Clone:
    """A copy of the finished clone with a cache of its own, so that nothing other tests trained is in it."""
    return copy_clone(finished, tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="session")
def versions(finished: Clone, tmp_path_factory) -> Clone:
    """Two results: of the branch main, tagged `baseline`, and of the branch change, tagged `weighted` and checked out.

    The folder remote/ beside the clone is its remote, and holds both. No test may change it.
    """

    def build(folder: Path) -> None:
        clone = copy_clone(finished, folder)
        clone.use_remote(folder / "remote")
        clone.run("dvc", "push", "--quiet")
        clone.run("git", "checkout", "--quiet", "-b", "change")
        clone.edit("params.yaml", "class_weights: {}", "class_weights: {nine: 2.0}")
        clone.run("dvc", "repro")
        clone.commit("weighted")
        clone.run("git", "tag", "weighted")
        clone.run("dvc", "push", "--quiet")

    return Clone(once(tmp_path_factory, "versions", build) / "clone")


@pytest.fixture
def fresh(versions: Clone, tmp_path) -> Clone:
    """What Git has of `versions`: its files and history, neither a cache nor a remote."""
    clone = Clone(tmp_path / "clone")
    versions.run("git", "clone", "--quiet", ".", str(clone.path))
    clone.use_remote(tmp_path / "nothing")
    return clone
