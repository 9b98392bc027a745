"""scripts/demo_page/runtime.py: fetched with npm, in whose place there is another program here, and checked."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path

from classifier.errors import InputError

import pytest
from demo_page import runtime


@pytest.fixture
def npm(workspace, monkeypatch):
    """A function that puts a shell script in npm's place; "$4" is the folder that it must write to."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(runtime.shutil, "which", lambda name: None)

    def install(script):
        path = workspace / "npm"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(runtime.shutil, "which", lambda name: str(path))

    return install


def archive(path: Path) -> Path:
    """A package with the two files that are needed."""
    with tarfile.open(path, "w:gz") as tar:
        for key, name in runtime.RUNTIME_FILES.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(key)
            tar.addfile(member, io.BytesIO(key.encode()))
    return path


def test_the_runtime_is_fetched_once_and_checked(npm, workspace, monkeypatch):
    package = archive(workspace / "package.tgz")
    digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    monkeypatch.setattr(runtime, "INTEGRITY", f"sha512-{digest}")
    npm(f'echo x >> {workspace}/calls; cp {package} "$4/{runtime.RUNTIME.replace("@", "-")}.tgz"')
    assert runtime.fetch_runtime() == {"script": b"script", "wasm": b"wasm"}
    assert runtime.fetch_runtime() == {"script": b"script", "wasm": b"wasm"}
    assert (workspace / "calls").read_text() == "x\n"
    assert len(list(Path(".cache").iterdir())) == 1


def test_another_package_than_the_published_one_is_refused(npm, workspace):
    package = archive(workspace / "package.tgz")
    npm(f'cp {package} "$4/{runtime.RUNTIME.replace("@", "-")}.tgz"')
    with pytest.raises(InputError, match=r"is not onnxruntime-web@.* as it was published: remove it"):
        runtime.fetch_runtime()


def test_without_npm_the_message_says_what_to_install(npm):
    with pytest.raises(InputError, match=r"npm not found.*install Node\.js"):
        runtime.fetch_runtime()


def test_without_a_network_the_message_is_one_line_with_npms_reason(npm):
    npm("echo npm error code ENOTFOUND >&2; echo npm error A complete log of this run: x.log >&2; exit 1")
    with pytest.raises(InputError) as error:
        runtime.fetch_runtime()
    assert str(error.value).endswith("(is there a network?): code ENOTFOUND")
    assert list(Path(".cache").iterdir()) == []


def test_an_npm_that_never_answers_is_given_up(npm, monkeypatch):
    monkeypatch.setattr(runtime, "TIMEOUT", 0.2)
    npm("exec sleep 30")
    with pytest.raises(InputError, match="did not fetch"):
        runtime.fetch_runtime()
