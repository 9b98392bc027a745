"""The disk that fills up while DVC takes results into its cache: seen, nothing half-visible, and mended by a rerun."""

import hashlib
import subprocess
from pathlib import Path

from tests.clones import Clone

import pytest

pytestmark = pytest.mark.slow

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


def on_a_full_disk(clone: Clone, command: str) -> tuple[int, str, list[Path]]:
    """Run a command while the clone's cache lies on a disk with room for 100 KB more.

    Returns its exit status, what it printed, and the objects in that cache whose bytes are not those of their names.
    """
    if subprocess.run([*UNSHARE, "true"], check=False).returncode:
        pytest.skip("this system allows no mounts in user namespaces")
    (clone.path / ".dvc/small").mkdir()
    after = clone.path.parent / "after"
    cached = [path for path in (clone.path / ".dvc/cache").rglob("*") if path.is_file()]  # folders take no room there
    taken = sum(-(-path.stat().st_size // 4096) * 4096 for path in cached)
    script = (
        f"mount -t tmpfs -o size={taken + 100_000} tmpfs .dvc/small && cp -r .dvc/cache/. .dvc/small && {command}; "
        f"code=$?; cp -r .dvc/small {after}; exit $code"
    )
    clone = Clone(clone.path, cold=True)  # the warm process has mounted nothing
    clone.run("dvc", "config", "--local", "cache.dir", str(clone.path / ".dvc/small"))
    process = clone.start(*UNSHARE, "sh", "-c", script)
    output, _ = process.communicate(timeout=300)
    clone.run("dvc", "config", "--local", "--unset", "cache.dir")
    # DVC writes to .NAME.tmp, which no command takes for an object, and leaves that there.
    objects = [path for path in after.glob("files/md5/*/*") if path.is_file() and not path.name.startswith(".")]
    assert objects
    wrong = [path for path in objects if name_of(path) != hashlib.md5(path.read_bytes()).hexdigest()]
    return process.returncode, output, wrong


def name_of(path: Path) -> str:
    return (path.parent.name + path.name).removesuffix(".dir")


def test_a_full_disk_in_the_commit_of_a_stage_fails_and_records_nothing(own):
    lock = (own.path / "dvc.lock").read_bytes()
    own.edit("params.yaml", "augment: {}", "augment: {RandomHorizontalFlip: {}}")
    code, output, wrong = on_a_full_disk(own, "dvc repro prepare")
    assert code != 0, output
    assert "No space left on device" in output
    assert "Traceback" not in output
    assert wrong == [], "what lies in the cache is whole"
    assert (own.path / "dvc.lock").read_bytes() == lock
    assert "prepare" in own.run("dvc", "status")
    assert "prepare" in own.repro("prepare")
    assert "up to date" in own.run("dvc", "status", "prepare")


def test_a_full_disk_in_dvc_add_is_said_and_seen_by_dvc_status(own):
    """DVC itself exits with 0 here; no object is half-visible, and adding again with room mends it."""
    for path in sorted((own.path / "data").rglob("*.png"))[:100]:  # of 4 KB each, on a disk
        path.write_bytes(path.read_bytes() + b"\0")
    _, output, wrong = on_a_full_disk(own, "dvc add data")
    assert "No space left on device" in output
    assert "Traceback" not in output
    assert wrong == []
    assert "changed outs" in own.run("dvc", "status", "data.dvc")
    own.run("dvc", "add", "data")
    assert "up to date" in own.run("dvc", "status", "data.dvc")
