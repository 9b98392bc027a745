"""`dvc push` in one clone and `dvc pull` in another, through every kind of remote that docs/sharing.md describes."""

import hashlib
import os
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path

from tests.clones import Clone, copy_clone

import pytest

from . import remotes

pytestmark = pytest.mark.slow

STAGES = ["prepare", "weights", "train", "evaluate"]  # their outputs; data/ has many files
MODEL = "models/classifier.safetensors"
BOUND = 60  # seconds, of which a busy machine needs most to start dvc


@pytest.fixture(scope="module")
def producer(finished, tmp_path_factory) -> Clone:
    return copy_clone(finished, tmp_path_factory.mktemp("producer"))


def fresh_clone(producer: Clone, path: Path) -> Clone:
    """What `git clone` brings, and the local settings of the remote: no data, an empty cache."""
    producer.run("git", "clone", "--quiet", ".", str(path))
    shutil.copy(producer.path / ".dvc" / "config.local", path / ".dvc" / "config.local")
    return Clone(path)


def refused(clone: Clone, *command: str) -> str:
    """What a command printed that must fail, and soon."""
    output = clone.run(*command, check=False, timeout=BOUND)
    assert "ERROR" in output
    assert "Traceback" not in output
    return output


def pulls_what_was_pushed(producer: Clone, path: Path) -> Clone:
    clone = fresh_clone(producer, path)
    clone.run("dvc", "pull", "--quiet", *STAGES)
    for name in (MODEL, "prepared/train.safetensors", "predictions.csv"):
        assert (clone.path / name).read_bytes() == (producer.path / name).read_bytes()
    assert clone.run("dvc", "status", *STAGES[1:]).strip() == "Data and pipelines are up to date."
    return clone


def objects(store: Path) -> list[Path]:
    """What the remote offers; what is still being written there has a hidden name."""
    found = (store / "files" / "md5").rglob("*")
    return [path for path in found if path.is_file() and not path.name.startswith(".")]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("kind", [remotes.folder, remotes.ssh, remotes.s3], ids=lambda kind: kind.__name__)
def test_what_one_clone_pushes_another_pulls(producer, tmp_path, kind):
    with kind(tmp_path) as settings:
        producer.use_remote(**settings)
        producer.run("dvc", "push", "--quiet", *STAGES)
        pulls_what_was_pushed(producer, tmp_path / "clone")


def test_a_web_server_over_a_remote_can_be_pulled_from_and_refuses_a_push(producer, tmp_path):
    with remotes.folder(tmp_path) as settings:
        producer.use_remote(**settings)
        producer.run("dvc", "push", "--quiet", *STAGES)
    with remotes.http(tmp_path) as settings:
        producer.use_remote(**settings)
        clone = pulls_what_was_pushed(producer, tmp_path / "clone")
        (clone.path / "notes.txt").write_text("new")
        clone.run("dvc", "add", "--quiet", "notes.txt")
        before = objects(tmp_path / "store")
        assert "failed to push data to the cloud" in refused(clone, "dvc", "push", "notes.txt.dvc")
        assert objects(tmp_path / "store") == before


def with_a_strangers_key(path, enter):
    settings = enter(remotes.ssh(path))
    return settings | {"keyfile": str(path / "stranger")}, "Permission denied"


def with_no_server_for_ssh(path, enter):
    return {"url": f"ssh://127.0.0.1:{enter(remotes.closed_port())}/store"}, "Connect call failed"


def with_a_silent_server_for_ssh(path, enter):
    return {"url": f"ssh://127.0.0.1:{enter(remotes.silent_port())}/store", "timeout": "3"}, ""


def with_keys_that_s3_does_not_know(path, enter):
    import requests

    settings = enter(remotes.s3(path))
    requests.post(f"{settings['endpointurl']}/moto-api/reset-auth", data=b"0", timeout=10)
    return settings, "InvalidAccessKeyId|Forbidden|Access Key Id|Access Denied"


def with_a_bucket_that_does_not_exist(path, enter):
    return enter(remotes.s3(path)) | {"url": "s3://nonesuch/store"}, "NoSuchBucket|bucket does not exist"


def with_a_silent_web_server(path, enter):
    url = f"http://127.0.0.1:{enter(remotes.silent_port())}"
    return {"url": url, "read_timeout": "1"}, "Timeout"


@pytest.mark.parametrize(
    "mistake",
    [
        with_a_strangers_key,
        with_no_server_for_ssh,
        with_a_silent_server_for_ssh,
        with_keys_that_s3_does_not_know,
        with_a_bucket_that_does_not_exist,
        with_a_silent_web_server,
    ],
    ids=lambda mistake: mistake.__name__,
)
def test_push_soon_ends_with_an_error(producer, tmp_path, mistake):
    with ExitStack() as stack:
        settings, message = mistake(tmp_path, stack.enter_context)
        producer.use_remote(**settings)
        output = refused(producer, "dvc", "push", MODEL)
        assert any(words in output for words in message.split("|")), output


def test_a_read_only_folder_is_named(producer, tmp_path):
    store = tmp_path / "store"
    store.mkdir(mode=0o555)
    producer.use_remote(url=str(store))
    obey = []
    producer = Clone(producer.path, cold=True)  # obeys itself
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root writes everywhere, and there is no setpriv to take that from it")
        obey = ["setpriv", "--bounding-set", "-dac_override"]
    output = refused(producer, *obey, "dvc", "push", MODEL)
    assert "Permission denied" in output
    assert str(store) in output
    assert not any(store.iterdir())


@pytest.mark.parametrize("kind", [remotes.folder, remotes.ssh], ids=lambda kind: kind.__name__)
def test_a_killed_push_leaves_nothing_half_done_and_is_completed_by_the_next(producer, tmp_path, kind):
    with kind(tmp_path) as settings:
        producer.use_remote(**settings)
        for _ in range(5):  # on a busy machine the push may be over before it is killed
            shutil.rmtree(tmp_path / "store", ignore_errors=True)
            push = producer.start("dvc", "push", "--jobs", "1", "data.dvc")
            while len(objects(tmp_path / "store")) < 50 and push.poll() is None:
                time.sleep(0.01)
            os.killpg(push.pid, signal.SIGKILL)
            push.communicate()
            if len(pushed := objects(tmp_path / "store")) < 1700:
                break
        assert 50 <= len(pushed) < 1700
        for path in pushed:
            assert md5(path) == path.parent.name + path.name.removesuffix(".dir"), path
        producer.run("dvc", "push", "--quiet", "data.dvc")
        clone = fresh_clone(producer, tmp_path / "clone")
        clone.run("dvc", "pull", "--quiet", "data.dvc")
        assert clone.run("dvc", "status", "data.dvc").strip() == "Data and pipelines are up to date."


@pytest.mark.parametrize("kind", [remotes.ssh, remotes.s3], ids=lambda kind: kind.__name__)
def test_a_remote_that_dies_within_a_file_has_whole_files_only_and_the_next_push_adds_the_rest(
    producer, tmp_path, kind
):
    with kind(tmp_path) as settings:
        with remotes.dying(settings, 600_000) as dying:
            producer.use_remote(**dying)
            once = Clone(producer.path, {"AWS_MAX_ATTEMPTS": "1"})
            assert "failed to push data to the cloud" in refused(once, "dvc", "push", "--jobs", "1", *STAGES)
        if kind is remotes.s3:
            there = {each.key: each.get()["Body"].read() for each in remotes.bucket(settings).objects.all()}
        else:
            there = {str(path): path.read_bytes() for path in objects(tmp_path / "store")}
        for name, content in there.items():
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            assert digest == "".join(Path(name).parts[-2:]).removesuffix(".dir"), name
        producer.use_remote(**settings)
        producer.run("dvc", "push", "--quiet", *STAGES)
        pulls_what_was_pushed(producer, tmp_path / "clone")


def test_a_byte_flipped_on_the_remote_is_refused_and_nothing_is_trained_on_it(producer, tmp_path):
    store = tmp_path / "store"
    producer.use_remote(url=str(store))
    producer.run("dvc", "push", "--quiet", *STAGES)
    digest = md5(producer.path / "prepared" / "train.safetensors")
    damaged = store / "files" / "md5" / digest[:2] / digest[2:]
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.chmod(0o644)
    damaged.write_bytes(data)
    damaged.chmod(0o444)  # as it was: DVC looks again at what can be written to
    clone = fresh_clone(producer, tmp_path / "clone")
    assert "prepared/train.safetensors" in refused(clone, "dvc", "pull", *STAGES)
    assert not (clone.path / "prepared" / "train.safetensors").exists()
    clone.edit("params.yaml", "train:\n  seed: 0", "train:\n  seed: 1")
    assert "Running stage 'train'" not in refused(clone, "dvc", "repro", "--pull", "--single-item", "train")
    assert not (clone.path / "prepared" / "train.safetensors").exists()
