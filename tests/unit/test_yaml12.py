"""classifier/runs/yaml12.py: what DVC's own parser makes of YAML, only faster."""

from classifier.runs import yaml12
from tests.conftest import ROOT

import pytest
from ruamel.yaml import YAML

SCALARS = ["1e-3", "1e5", "-1.5e+3", "1.", ".5", "1_000", "010", "0o17", "0x1F", "-0x10", "0b11", "+7", "1.2.3", "1e"]
SCALARS += ["12:30", "no", "yes", "off", "on", "y", "true", "True", "FALSE", "~", "null", "-.inf", "2020-01-01", "a=b"]


@pytest.mark.parametrize("text", SCALARS)
def test_a_plain_scalar_is_what_it_is_to_dvc(text):
    document = f"a: {text}\n{text}: [{text}]\nb: {{c: '{text}', d: \"{text}\"}}\n"
    assert yaml12.load(document) == YAML(typ="safe").load(document)


@pytest.mark.parametrize("path", [*ROOT.glob("*.yaml"), *ROOT.glob("recipes/*.yaml")], ids=lambda path: path.name)
def test_files_are_read_alike(path):
    assert yaml12.load(path.read_bytes()) == YAML(typ="safe").load(path.read_bytes())


@pytest.mark.parametrize("content", [b"a: 1\na: 2\n", b"<<<<<<< HEAD\na: 1\n=======\n", b"a: \xff\n", b"a: [1\n"])
def test_what_is_damaged_is_refused(content):
    with pytest.raises(yaml12.YAMLError):
        yaml12.load(content)


def test_anchors_may_be_merged_and_overridden():
    assert yaml12.load("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")["b"] == {"x": 1, "y": 3}
