"""`dvc config cache.type`, for a cache on a shared disk: stages read and write through links, and spoil nothing."""

import hashlib
from pathlib import Path

from tests.clones import Clone

import pytest

pytestmark = pytest.mark.slow

DATA = ("data", "prepared", "models")


def objects(cache: Path) -> list[Path]:
    return [path for path in (cache / "files" / "md5").rglob("*") if path.is_file()]


def kind(file: Path, cache: dict[int, Path]) -> str:
    """How a file of the workspace refers to an object of the cache, given as a dictionary by inodes."""
    if file.is_symlink():
        return "symlink"
    return "hardlink" if file.stat().st_ino in cache else "copy"


@pytest.mark.parametrize("wanted", ["symlink", "hardlink", "copy"])
def test_a_shared_cache_serves_all_stages_and_stays_as_it_is(own: Clone, tmp_path, wanted):
    shared = tmp_path / "shared"
    (own.path / ".dvc/cache").rename(shared)
    own.run("dvc", "cache", "dir", "--local", str(shared))
    own.run("dvc", "config", "--local", "cache.type", wanted)
    own.run("dvc", "checkout", "--quiet", "--relink", "--force")

    def state() -> tuple[set[str], set[int]]:
        inodes = {path.stat().st_ino: path for path in objects(shared)}
        files = [path for folder in DATA for path in (own.path / folder).rglob("*") if path.is_file()]
        return {kind(path, inodes) for path in files}, {path.stat().st_mode & 0o222 for path in files}

    kinds, writable = state()
    assert kinds == {wanted}
    assert (writable == {0}) == (wanted != "copy")  # what is written through a link would change the cache
    own.edit("params.yaml", "label_smoothing: 0.2", "label_smoothing: 0.1")
    assert own.repro() == ["train", "evaluate"]
    lock = (own.path / "dvc.lock").read_bytes()
    own.repro("--force", "prepare", "evaluate", "--single-item")
    assert (own.path / "dvc.lock").read_bytes() == lock  # read and written anew through links: the same bits
    assert state()[0] == {wanted}
    spoilt = [path for path in objects(shared) if hashlib.md5(path.read_bytes()).hexdigest() != spelt(path)]
    assert spoilt == []
    assert own.run("dvc", "status") == "Data and pipelines are up to date.\n"


def spelt(path: Path) -> str:
    """The MD5 that an object of the cache is named after."""
    return (path.parent.name + path.name).removesuffix(".dir")
