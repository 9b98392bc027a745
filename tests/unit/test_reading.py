"""Whatever lies where params.yaml should be: one sentence, at once."""

import os
import socket
from datetime import date
from pathlib import Path

from classifier.config import load_params
from classifier.errors import InputError

import pytest
import yaml


def refused(folder: Path, content: str | bytes) -> str:
    path = folder / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as error:
        load_params("train", path)
    assert "Traceback" not in str(error.value)
    assert all(len(line) < 700 for line in str(error.value).splitlines())
    return str(error.value)


DOUBLING = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 40))
LISTS = "a0: &a0 [1, 1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "must hold the sections"),
        ("just text", "must hold the sections"),
        ("- a\n- b", "must hold the sections"),
        ("prepare: 2020-01-01\n", "this section is missing or empty"),
        ("prepare: 2020-13-45\n", "is not valid YAML: month must be"),
        ("2020-01-01: {}\n", "unknown section"),
        ("prepare: {seed: !!int x}", "is not valid YAML"),
        ("prepare: {seed: !!timestamp x}", "is not valid YAML"),
        ("prepare: {seed: !!bool x}", "is not valid YAML"),
        ("prepare: !!python/object/apply:os.system ['touch canary']", "could not determine a constructor"),
        ("!!python/object:builtins.object {}", "could not determine a constructor"),
        ("[" * 50_000, "nested too deeply"),
        ("{a: " * 50_000, "nested too deeply"),
        ("seed: " + "1" * 5000, "is not valid YAML"),
        (DOUBLING, "more than 1000 keys"),
        (LISTS, "unknown section"),
        ("a: &a x\nb: [" + "*a, " * 101 + "]", "more than 100 aliases"),
        ("a: &a [*a]", "unknown section"),
        ("? [a, b]\n: 1", "cannot be a key"),
        ("a\0b: 1", "is not valid YAML"),
        (b"\xff\xfea\0:\0", "is not valid YAML"),
        (b"train: caf\xe9", "is not valid YAML"),
        ("#" * 1_000_001, "larger than 1,000,000 bytes"),
        ('"\\e[2J\\n": 1', "unknown section"),
        ("a: *nothing", "is not valid YAML"),
        ("a: 1\na: 2", "stands twice"),
        ("--- a\n--- b", "is not valid YAML"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_a_sentence(tmp_path, monkeypatch, content, said):
    monkeypatch.chdir(tmp_path)
    message = refused(tmp_path, content)
    assert said in message
    assert "\x1b" not in message
    assert not Path("canary").exists()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "params.yaml")
    with pytest.raises(InputError, match=r"is a folder|is a pipe|cannot be read: Too many levels"):
        load_params("train", tmp_path / "params.yaml")


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("params.yaml")
        with pytest.raises(InputError, match=r"params\.yaml is a socket, and must be a file"):
            load_params("train")


def test_a_file_that_cannot_be_read_is_not_called_missing(tmp_path, monkeypatch):
    def denied(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "params.yaml").write_text("")
    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(InputError, match=r"params\.yaml cannot be read: Permission denied"):
        load_params("train", tmp_path / "params.yaml")


HUGE = 10**400


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("prepare.seed", HUGE, "must be a whole number below 4294967296, not 1000"),
        ("prepare.image_size", "0xFFF…", "must be a whole number below"),
        ("prepare.seed", date(2020, 1, 1), "must be a whole number, not the date 2020-01-01"),
        ("train.lr", HUGE, "must be finite"),
        ("train.lr", "1e999", "must be finite"),
        ("train.lr", float("inf"), "must be finite"),
        ("train.lr", float("nan"), "must be finite"),
        ("train.epochs", 2**31, "must be between 1 and 100000"),
        ("train.mixup", 1e300, "must be between 0 and 1000"),
        ("train.class_weights", {"cat": HUGE}, "must be finite"),
        ("train.class_weights", {"cat": date(2020, 1, 1)}, "must be a number, not the date"),
        ("train.class_weights", ["cat"], "a mapping such as"),
        ("train.augment", {"RandomCrop": date(2020, 1, 1)}, "must be a mapping such as"),
        ("train.model", {"a": ["b" * 99] * 99}, "must be text"),
        ("train.keep", {"best": 1}, "must be one of"),
        ("evaluate.tta", [], "must be one of"),
    ],
)
def test_a_value_of_another_kind_is_named_with_what_it_must_be(tmp_path, params, key, value, said):
    section, name = key.split(".")
    document = yaml.safe_load(params())
    document[section][name] = value
    text = yaml.safe_dump(document, allow_unicode=True).replace("0xFFF…", "0x" + "F" * 9999)  # of 12,000 digits
    message = refused(tmp_path, text)
    assert f"{key}: " in message
    assert said in message


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 16, "padding": 10**9},
        {"size": HUGE},
        {"size": float("nan")},
        {"size": [[[1]]]},
        {"size": date(2020, 1, 1)},
        {"size": "16"},
        {"size": None},
        {2020: 1},
        {"size": {"a": 1}},
    ],
)
def test_the_arguments_of_a_transform_are_refused_before_they_take_memory(arguments):
    from classifier.data.augment import build_augment

    with pytest.raises(InputError, match=r"^train\.augment\.RandomCrop"):
        build_augment({"RandomCrop": arguments}, 16, "train.augment")
