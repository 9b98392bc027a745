"""Names that no table can hold, names that only look alike, and what is no file: refused before decoding."""

import os
import socket
import stat
import sys
from pathlib import Path

import evaluate
import prepare
import train
from classifier.data.layouts import open_dataset
from classifier.data.names import look_alike, require_distinct, require_sound
from classifier.errors import InputError
from classifier.files import open_file, read_file

import pack
import pandas as pd
import pytest

NFC, NFD = "caf\u00e9", "cafe\u0301"


def refused(root: Path) -> str:
    with pytest.raises(InputError) as error:
        open_dataset(root)
    assert str(error.value).isprintable()
    return str(error.value)


BAD = [
    (b"caf\xe9.png", "is not UTF-8: rename 'train/cat/caf\\udce9.png'"),
    (b"\xff\xfe.png", "is not UTF-8"),
    (b"a\nb.png", "has a control character: rename 'train/cat/a\\nb.png'"),
    (b"a\tb.png", "has a control character"),
    (b"a\x1b[2J.png", "has a control character: rename 'train/cat/a\\x1b[2J.png'"),
    (b"a\x7f.png", "has a control character"),
    ("a\u2028b.png".encode(), "has a control character"),
]


@pytest.mark.parametrize(("name", "said"), BAD)
def test_an_image_whose_name_no_table_can_hold_is_refused_before_decoding(small_dataset, name, said):
    root = small_dataset()
    (root / "train/cat/003.png").write_bytes(b"no image, which nobody finds out")
    (root / "train/cat/003.png").rename(root / "train/cat" / os.fsdecode(name))
    assert said in refused(root)


@pytest.mark.parametrize(("name", "said"), BAD)
def test_a_class_whose_name_no_table_can_hold_is_refused(small_dataset, name, said):
    root = small_dataset()
    for split in ("train", "test"):
        (root / split / "cat").rename(root / split / os.fsdecode(name))
    assert "name(s) that no table can hold" in refused(root)


def test_a_file_that_is_no_image_may_have_any_name(small_dataset, capsys):
    root = small_dataset()
    (root / "train/cat" / os.fsdecode(b"caf\xe9.txt")).write_text("notes")
    assert open_dataset(root).splits["train"].count == 24
    assert "ignored 1 file(s)" in capsys.readouterr().out


def test_packing_refuses_such_names_too(small_dataset, tmp_path, monkeypatch):
    root = small_dataset()
    (root / "train/cat/003.png").rename(root / "train/cat/a\nb.png")
    monkeypatch.setattr(sys, "argv", ["pack.py", str(root), str(tmp_path / "packed")])
    with pytest.raises(InputError, match="has a control character"):
        pack.main()
    assert not (tmp_path / "packed").exists()


def test_class_folders_that_only_look_alike_in_two_splits_are_shown_with_their_difference(small_dataset):
    root = small_dataset()
    (root / "train/cat").rename(root / "train" / NFC)
    (root / "test/cat").rename(root / "test" / NFD)
    assert "'caf\\xe9' (NFC) and 'cafe\\u0301' (NFD) look the same: rename one." in refused(root)


def test_two_classes_of_one_split_that_look_alike_are_refused(small_dataset):
    root = small_dataset()
    for split in ("train", "test"):
        (root / split / "cat").rename(root / split / NFC)
        (root / split / "dog").rename(root / split / NFD)
    assert "two classes look the same: 'cafe\\u0301' (NFD) and 'caf\\xe9' (NFC)" in refused(root)


@pytest.mark.parametrize("other", ["cat ", " cat", "ca\u200bt", "cat\u00a0", "\ufeffcat"])
def test_classes_that_differ_in_what_is_not_seen_are_refused(small_dataset, other):
    root = small_dataset(test=0)
    (root / "train/dog").rename(root / "train" / other)
    assert "two classes look the same" in refused(root)
    assert f"{other!a}" in refused(root)


def test_names_in_any_script_are_sound_and_distinct():
    names = ["Kätzchen", "собака", "猫", "🐸", "no", "7", "a b", "ab", "café", "cafe", "x" * 255]
    require_sound(names, "classes")
    require_distinct(names, "classes")
    assert look_alike(["cat"], ["dog"]) == ""


def test_names_of_255_bytes_go_through_all_stages(workspace, small_dataset, params):
    small_dataset("data")
    long = "é" * 127 + "x"
    for split in ("train", "test"):
        (workspace / "data" / split / "cat").rename(workspace / "data" / split / long)
    image = workspace / "data/test" / long / ("y" * 251 + ".png")
    (workspace / "data/test" / long / "000.png").rename(image)
    Path("params.yaml").write_text(params({"train.class_weights": {long: 2.0}}))
    for stage in (prepare, train, evaluate):
        stage.main()
    predictions = pd.read_csv("predictions.csv")
    assert f"test/{long}/{image.name}" in predictions["path"].tolist()
    assert long in predictions.columns


# What is no file


def bind(path: Path) -> None:
    """A socket; its path must be short."""
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


def device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero, which never ends
    except PermissionError:
        pytest.skip("only root makes devices")


ODD = {
    "a pipe": os.mkfifo,
    "a socket": bind,
    "a device": device,
    "a link that leads in a circle": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("gone"),
}


@pytest.mark.parametrize(
    "where", ["train/x.png", "train/x", "train/cat/x.png", "train/cat/x.txt", "test/cat/deep/x.png"]
)
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_refused_at_once_wherever_it_lies(small_dataset, kind, where):
    root = small_dataset(train=1, test=1)
    (root / where).parent.mkdir(exist_ok=True)
    ODD[kind](root / where)
    message = refused(root)
    assert f"{where} is {kind}, neither a file nor a folder" in message


def test_a_link_to_a_folder_is_refused_and_not_passed_over(small_dataset):
    root = small_dataset(train=1, test=1)
    (root / "train/cat/more").symlink_to(root / "train/dog", target_is_directory=True)
    assert "train/cat/more is a link to a folder, which is not followed" in refused(root)
    (root / "train/cat/more").unlink()
    (root / "train/kitty").symlink_to("cat", target_is_directory=True)
    (root / "test/kitty").symlink_to("cat", target_is_directory=True)
    assert "train/kitty is a link to a folder, which is not followed" in refused(root)


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a device"])
def test_what_is_no_file_is_not_opened(tmp_path, kind):
    ODD[kind](tmp_path / "x")
    with pytest.raises(InputError, match=f"x is {kind}, and must be a file"):
        open_file(tmp_path / "x")


def test_only_what_is_not_there_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "x")
    for odd in (tmp_path, tmp_path / ("x" * 256), tmp_path / "x\0y", Path(__file__) / "x"):
        with pytest.raises(InputError):
            open_file(odd)


def test_a_file_larger_than_it_may_be_is_not_read(tmp_path):
    with open(tmp_path / "x", "wb") as file:
        file.truncate(10**12)  # which takes no room on the disk
    with pytest.raises(InputError, match=r"x is larger than 1,000 bytes"):
        read_file(tmp_path / "x", 1000)
