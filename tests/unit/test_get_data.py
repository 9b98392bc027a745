"""scripts/get_data.py: digits without a network, CIFAR from an archive or a server."""

import hashlib
import io
import pickle
import socket
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from classifier.data.layouts import open_dataset
from classifier.errors import InputError

import get_data
import numpy as np
import pytest
from torchvision import datasets

DIGITS = "065da538691dfbb08330f57029123cf3a7f043c2f4db77b6d8512f0a07588fa0"

NOISY_DIGITS = "5e3923d7a06e6dabc772b28a3e0f11ff2e6b4b410ea2535105dd5c685d12f868"


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def run(workspace, monkeypatch):
    """A function: run get_data.py with these arguments."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["get_data.py", *map(str, arguments)])
        get_data.main()

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    timeout = socket.getdefaulttimeout()
    yield run
    socket.setdefaulttimeout(timeout)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A small archive in CIFAR-10's form, with hostile members, whose checksums count as published."""
    batch = {b"data": np.zeros((1, 3072), dtype=np.uint8), b"labels": [0], b"filenames": [b"a.png"]}
    files = {name: pickle.dumps(batch | {b"batch_label": name.encode()}, protocol=2) for name in BATCHES}
    files["batches.meta"] = pickle.dumps({b"label_names": [b"cat"]}, protocol=2)
    path = tmp_path / "downloads" / "cifar.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        members = {f"cifar-10-batches-py/{name}": data for name, data in files.items()}
        for name, data in (members | {"../evil": b"evil", f"{tmp_path}/absolute": b"evil"}).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, kind in (
            ("cifar-10-batches-py/link", tarfile.SYMTYPE),
            ("cifar-10-batches-py/fifo", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[name, md5(files[name])] for name in BATCHES[:5]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5(files["test_batch"])]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", {"filename": "batches.meta", "md5": md5(files["batches.meta"])})
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(path.read_bytes()))
    monkeypatch.setattr(datasets.CIFAR10, "filename", path.name)
    return path


BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


@pytest.fixture
def served(archive, monkeypatch):
    """The archive's folder behind a web server on this machine, from which CIFAR-10 comes."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=archive.parent))
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{archive.name}")
    yield archive
    server.shutdown()
    server.server_close()


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def digest(folder: Path) -> str:
    """Of all names and contents below a folder."""
    total = hashlib.sha256()
    for name in files_below(folder):
        total.update(name.encode() + b"\0" + hashlib.sha256((folder / name).read_bytes()).digest())
    return total.hexdigest()


def test_digits_are_the_same_bytes_on_every_run_and_machine(run):
    run("digits")
    run("digits", "--out", "again")
    assert digest(Path("data")) == digest(Path("again")) == DIGITS


def test_digits_are_image_folders_with_all_three_splits(run):
    run("digits")
    dataset = open_dataset("data")
    assert dataset.classes == sorted(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    assert {name: split.count for name, split in dataset.splits.items()} == {"train": 1079, "val": 359, "test": 359}


def test_noisy_digits_are_the_same_bytes_on_every_machine_and_few_of_them_are_eights_to_learn_from(run):
    run("noisy-digits")
    assert digest(Path("data")) == NOISY_DIGITS
    counts = {split: len(list(Path("data", split, "eight").iterdir())) for split in ("train", "val", "test")}
    assert counts["train"] == get_data.EIGHTS
    assert counts["val"] >= 50
    assert counts["test"] >= 50
    assert min(len(list(folder.iterdir())) for folder in Path("data/train").iterdir() if folder.name != "eight") >= 50


@pytest.mark.parametrize("dataset", ["digits", "noisy-digits", "cifar10"])
def test_a_folder_that_holds_something_is_not_written_to(run, dataset):
    Path("data").mkdir()
    Path("data/mine.png").write_bytes(b"mine")
    with pytest.raises(InputError, match="already holds something"):
        run(dataset)
    assert files_below(Path("data")) == ["mine.png"]


def test_cifar10_is_taken_from_an_archive(run, archive):
    run("cifar10", "--archive", archive)
    dataset = open_dataset("data")
    assert (dataset.layout, dataset.splits["train"].count, dataset.splits["test"].count) == ("CIFAR-10", 5, 1)


def test_nothing_but_the_published_files_is_taken_from_an_archive(run, archive, tmp_path):
    before = files_below(tmp_path)
    run("cifar10", "--archive", archive, "--out", "deep/data")
    expected = [f"deep/data/cifar-10-batches-py/{name}" for name in [*BATCHES, "batches.meta"]]
    assert files_below(tmp_path) == sorted(before + expected)


def test_an_archive_of_another_checksum_is_refused(run, archive):
    archive.write_bytes(archive.read_bytes() + b"\0")
    with pytest.raises(InputError, match="its MD5 is"):
        run("cifar10", "--archive", archive)
    assert not Path("data").exists()


def test_a_missing_archive_is_refused(run):
    with pytest.raises(InputError, match=r"missing\.tar\.gz"):
        run("cifar10", "--archive", "missing.tar.gz")


def test_a_file_of_another_checksum_is_refused(run, archive, monkeypatch):
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", "0" * 32]])
    with pytest.raises(InputError, match=r"test_batch in .* does not have the published MD5"):
        run("cifar10", "--archive", archive)
    assert not Path("data/cifar-10-batches-py/test_batch").exists()


def test_a_complete_folder_is_left_as_it_is(run, archive, capsys):
    run("cifar10", "--archive", archive)
    archive.unlink()
    run("cifar10", "--archive", archive)
    assert "complete already" in capsys.readouterr().out


def test_an_incomplete_folder_is_completed(run, archive):
    run("cifar10", "--archive", archive)
    complete = digest(Path("data"))
    Path("data/cifar-10-batches-py/data_batch_3").write_bytes(b"damaged")
    Path("data/cifar-10-batches-py/test_batch").unlink()
    run("cifar10", "--archive", archive)
    assert digest(Path("data")) == complete


def test_cifar10_is_downloaded_and_checked(run, served):
    run("cifar10")
    assert open_dataset("data").splits["train"].count == 5


def test_a_download_of_another_checksum_is_refused(run, served):
    served.write_bytes(served.read_bytes()[:-10])
    with pytest.raises(InputError, match="could not be downloaded"):
        run("cifar10")
    assert not Path("data").exists()


def test_a_download_that_the_server_does_not_have_is_refused(run, served):
    served.unlink()
    with pytest.raises(InputError, match=r"could not be downloaded.*404"):
        run("cifar10")


def test_a_download_without_a_server_says_what_to_do_instead(run, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{port}/cifar.tar.gz")
    with pytest.raises(InputError, match=r"could not be downloaded.*--archive.*digits"):
        run("cifar10")
    assert not Path("data").exists()


def test_a_server_that_never_answers_is_given_up(run, monkeypatch):
    monkeypatch.setattr(get_data, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{server.getsockname()[1]}/cifar.tar.gz")
        with pytest.raises(InputError, match=r"could not be downloaded.*timed out"):
            run("cifar10")
