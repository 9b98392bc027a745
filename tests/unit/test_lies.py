"""Files with a valid digest that say of themselves what cannot be: one sentence, and no answer that means nothing."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from classifier.errors import InputError
from classifier.network.checkpoint import FORMAT, KEY, load_checkpoint
from classifier.network.predictor import Predictor
from classifier.network.pretrained import KEY as WEIGHTS
from classifier.network.pretrained import read_weights
from classifier.tensors import read_tensors, write_tensors
from tests.conftest import ROOT, small
from tests.unit.test_checkpoint import METADATA

import numpy as np
import pytest
import safetensors.torch
import torch

SOUND = {"format": FORMAT, **asdict(METADATA)}


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return small("airbench_small", 3, 16).module.state_dict()


@pytest.fixture
def refused(tmp_path, weights):
    """A function: the sentence with which a checkpoint of this description is refused."""

    def of(description: dict, tensors=None) -> str:
        write_tensors(tmp_path / "c.safetensors", KEY, weights if tensors is None else tensors, description)
        with pytest.raises(InputError) as error:
            load_checkpoint(tmp_path / "c.safetensors")
        message = str(error.value)
        assert message.startswith(f"{tmp_path}/c.safetensors does not describe its own weights: ")
        assert "\n" not in message
        assert len(message) < 700
        return message

    return of


def test_the_description_that_is_changed_below_is_sound(tmp_path, weights):
    write_tensors(tmp_path / "c.safetensors", KEY, weights, SOUND)
    assert load_checkpoint(tmp_path / "c.safetensors")[1] == METADATA


LIES = {
    "size": [0, -1, 15, 2**40, 16.0, "16", None, True, [16]],
    "crop": [0, -1, 17, 2**40, 15.5, "16", None, False],
    "fit": ["stretch", None, 7, ["crop"]],
    "interpolation": ["nearest", None, {}],
    "mean": [[], [0.5], [0.5] * 4, [0.5, 0.5, "x"], [0.5, 0.5, None], 0.5, "abc", [1e300, 0, 0], [float("nan"), 0, 0]],
    "std": [[0, 0, 0], [1, 1, -1], [1, 1, 1e-300], [1, 1, float("inf")], [1, 1, 10**400], {"a": 1}, None, [True] * 3],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in LIES.items() for value in values])
def test_preprocessing_that_cannot_be_is_refused(refused, key, value):
    assert key in refused(SOUND | {"preprocessing": SOUND["preprocessing"] | {key: value}})


@pytest.mark.parametrize("key", [*LIES, "model", "classes", "preprocessing"])
def test_a_missing_key_is_refused(refused, key):
    description = json.loads(json.dumps(SOUND))
    (description["preprocessing"] if key in LIES else description).pop(key)
    assert key in refused(description)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": 3},
        {"classes": "cat"},
        {"classes": []},
        {"classes": ["cat"]},
        {"classes": ["cat", "dog", "cat"]},
        {"classes": ["cat", "dog", ""]},
        {"classes": ["cat", "dog", 7]},
        {"classes": ["cat", "dog", None]},
        {"classes": ["cat", "dog", "a\x1b[2J"]},
        {"classes": ["cat", "dog"]},
        {"classes": {"cat": 0, "dog": 1, "frog": 2}},
        {"model": "exec"},
        {"model": "resnet18"},
        {"model": "timm/resnet18"},
        {"model": "timm/hf-hub:a/b"},
        {"model": None},
        {"model": ["airbench_small"]},
        {"model": "../airbench"},
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": 10**400},
        {"temperature": 1e-300},
        {"temperature": "1"},
        {"temperature": None},
        {"temperature": True},
        {"environment": [1]},
        {"pretrained": "timm"},
        {"preprocessing": None},
        {"preprocessing": []},
        {"preprocessing": {"size": 16}},
        {"preprocessing": SOUND["preprocessing"] | {"further": 1}},
    ],
)
def test_metadata_that_cannot_be_are_refused(refused, changes):
    refused(SOUND | changes)


@pytest.mark.parametrize("size", [0, "16", None, 2**40])
def test_the_first_format_is_held_to_the_same(refused, size):
    first = {"format": "1", "model": "airbench_small", "classes": ["a", "b", "c"], "image_size": size}
    refused(first | {"mean": [0.5] * 3, "std": [0.1] * 3})


def test_weights_that_are_no_numbers_or_of_another_type_are_refused(refused, weights):
    name = next(name for name, tensor in weights.items() if tensor.dim() == 4)
    assert "not finite" in refused(SOUND, weights | {name: weights[name] * float("nan")})
    assert "torch.float64" in refused(SOUND, weights | {name: weights[name].double()})
    assert "c.safetensors" in refused(SOUND, {})


def test_an_answer_that_is_no_number_is_refused(tmp_path, weights, monkeypatch):
    monkeypatch.setenv("DEVICE", "cpu")
    huge = {name: tensor * 1e30 if tensor.dim() > 1 else tensor for name, tensor in weights.items()}
    write_tensors(tmp_path / "c.safetensors", KEY, huge, SOUND)
    with pytest.raises(InputError, match=r"c\.safetensors answers with what is no number"):
        Predictor(tmp_path / "c.safetensors", precision="fp32")(np.full((1, 3, 16, 16), 255, np.uint8))


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("text", [DEEP, "{", "null", "7", '"text"', "[]", "1" * 5000, '{"sha256": null}', "{}"])
def test_a_description_that_is_none_is_refused(tmp_path, text):
    safetensors.torch.save_file({"w": torch.zeros(3)}, tmp_path / "c.safetensors", {KEY: text})
    with pytest.raises(InputError, match=r"c\.safetensors (is not a readable|is no checkpoint|is damaged)"):
        read_tensors(tmp_path / "c.safetensors", KEY)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path.mkdir, "is a folder, and must be a file"),
        (os.mkfifo, "is a pipe, and must be a file"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
    ],
)
def test_what_is_no_file_is_not_called_missing(tmp_path, make, said):
    make(tmp_path / "c.safetensors")
    with pytest.raises(InputError, match=said):
        load_checkpoint(tmp_path / "c.safetensors")


def test_a_file_that_cannot_be_read_is_not_called_missing(tmp_path, weights):
    path = tmp_path / "c.safetensors"
    write_tensors(path, KEY, weights, SOUND)
    path.chmod(0)
    code = "import sys\nfrom classifier.errors import run\nfrom classifier.tensors import read_tensors\n"
    code += "run(lambda: read_tensors(sys.argv[1], 'checkpoint'))"
    as_somebody = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run([*as_somebody, sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True)
    if "setpriv" in done.stderr:
        pytest.skip("setpriv cannot be used here")
    assert (done.returncode, done.stderr) == (1, f"error: {path} cannot be read: Permission denied.\n")


# pretrained/weights.safetensors


@pytest.mark.parametrize(
    "changes",
    [
        {"preprocessing": []},
        {"preprocessing": 7},
        {"preprocessing": {"size": 16}},
        {"preprocessing": SOUND["preprocessing"] | {"std": [0, 0, 0]}},
        {"preprocessing": ...},
        {"source": ...},
        {"licence": ...},
        {"source_sha256": ...},
    ],
)
def test_pretrained_weights_that_do_not_describe_themselves_are_refused(tmp_path, weights, changes):
    description = {"format": "1", "model": "m", "setting": "s", "source": "x", "licence": None, "source_sha256": "0"}
    description |= {"preprocessing": SOUND["preprocessing"]} | changes
    path = tmp_path / "w.safetensors"
    write_tensors(path, WEIGHTS, weights, {key: value for key, value in description.items() if value is not ...})
    with pytest.raises(InputError, match=r"w\.safetensors does not describe its own weights .*run `dvc repro`"):
        read_weights("m", "s", path)


def test_sound_pretrained_weights_are_read(tmp_path, weights):
    description = {"format": "1", "model": "m", "setting": "s", "source": "x", "licence": None, "source_sha256": "0"}
    write_tensors(tmp_path / "w", WEIGHTS, weights, description | {"preprocessing": SOUND["preprocessing"]})
    assert read_weights("m", "s", tmp_path / "w").preprocessing == METADATA.preprocessing
