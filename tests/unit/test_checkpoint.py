"""The checkpoint: what is saved is what is loaded, and nothing else is."""

import lzma
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from classifier.errors import InputError
from classifier.network.checkpoint import Metadata, load_checkpoint, require_same_classes, save_checkpoint
from classifier.network.predictor import Predictor
from classifier.network.preprocessing import Preprocessing
from tests.conftest import ROOT, small

import numpy as np
import pytest
import safetensors.torch
import torch

PREPROCESSING = Preprocessing(16, "crop", 16, "bilinear", (0.5, 0.25, 0.125), (0.1, 0.2, 0.3))
METADATA = Metadata("airbench_small", ["Kätzchen", "dog", "frog"], PREPROCESSING, {"threads": 2})


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return small("airbench_small", 3, 16).module.eval()


@pytest.fixture
def checkpoint(tmp_path, model) -> Path:
    save_checkpoint(tmp_path / "classifier.safetensors", model.state_dict(), METADATA)
    return tmp_path / "classifier.safetensors"


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        load_checkpoint(path)
    return str(error.value)


def test_a_loaded_network_gives_the_same_logits_and_metadata(checkpoint, model):
    loaded, metadata = load_checkpoint(checkpoint)
    images = torch.rand(4, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(loaded(images), model(images))
    assert metadata == METADATA
    assert not loaded.module.training


# What the first format's own code answered for four images, with a checkpoint that it wrote.
OLD_ANSWERS = [
    [0.055105, 0.477646, 0.467249],
    [0.068203, 0.162828, 0.768969],
    [0.438128, 0.431837, 0.130035],
    [0.1276, 0.315442, 0.556958],
]


def test_a_checkpoint_of_the_first_format_answers_as_it_did(tmp_path, monkeypatch):
    monkeypatch.setenv("DEVICE", "cpu")
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    old.write_bytes(lzma.decompress((ROOT / "tests" / "data" / "checkpoint-format-1.safetensors.xz").read_bytes()))
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16), dtype=np.uint8)
    predictor = Predictor(old, precision="fp32")
    assert predictor.metadata == replace(METADATA, classes=["cat", "dog", "frog"])
    answers = predictor(images)
    assert answers == pytest.approx(np.array(OLD_ANSWERS), abs=1e-5)  # another processor rounds differently
    save_checkpoint(new, predictor.network.module.state_dict(), predictor.metadata)
    assert np.array_equal(Predictor(new, precision="fp32")(images), answers)


def test_saving_twice_gives_the_same_bytes(checkpoint, model):
    before = checkpoint.read_bytes()
    for _ in range(5):
        save_checkpoint(checkpoint, model.state_dict(), METADATA)
        assert checkpoint.read_bytes() == before


def test_saving_in_another_process_gives_the_same_bytes(checkpoint, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from classifier.network.checkpoint import load_checkpoint, save_checkpoint\n"
        "model, metadata = load_checkpoint(sys.argv[1])\n"
        "save_checkpoint(Path(sys.argv[2]), model.module.state_dict(), metadata)\n"
    )
    again = tmp_path / "again.safetensors"
    subprocess.run([sys.executable, "-c", code, checkpoint, again], cwd=ROOT, check=True)
    assert again.read_bytes() == checkpoint.read_bytes()


def test_the_safetensors_library_reads_the_weights(checkpoint, model):
    weights = safetensors.torch.load_file(checkpoint)
    assert weights.keys() == model.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())


def test_a_missing_checkpoint_says_how_to_get_one(tmp_path):
    assert "dvc pull" in refused(tmp_path / "classifier.safetensors")


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 100, -1])
def test_a_truncated_checkpoint_is_refused(checkpoint, keep):
    data = checkpoint.read_bytes()
    checkpoint.write_bytes(data[:keep])
    assert "not a readable safetensors file" in refused(checkpoint)


def test_a_flipped_bit_in_the_weights_is_refused(checkpoint):
    data = bytearray(checkpoint.read_bytes())
    data[-5] ^= 4
    checkpoint.write_bytes(data)
    assert "damaged" in refused(checkpoint)


def test_a_flipped_bit_in_the_metadata_is_refused_or_changes_nothing(checkpoint):
    data = checkpoint.read_bytes()
    for position in range(8, 8 + int.from_bytes(data[:8], "little"), 3):
        flipped = bytearray(data)
        flipped[position] ^= 1
        checkpoint.write_bytes(flipped)
        try:
            _, metadata = load_checkpoint(checkpoint)
        except InputError:
            continue
        assert metadata == METADATA, f"byte {position}, {data[position - 20 : position + 20]}"


@pytest.mark.parametrize("length", [2**20, 2**40, 2**63, 2**64 - 1])
def test_a_header_that_claims_to_be_larger_than_the_file_is_refused(checkpoint, length):
    checkpoint.write_bytes(length.to_bytes(8, "little") + checkpoint.read_bytes()[8:])
    assert "not a readable safetensors file" in refused(checkpoint)


class Canary:
    """Unpickled, it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("save", [lambda value, path: path.write_bytes(pickle.dumps(value)), torch.save])
def test_a_pickle_named_like_a_checkpoint_is_refused_and_its_code_not_run(tmp_path, save):
    path = tmp_path / "classifier.safetensors"
    save({"model": Canary(tmp_path / "canary")}, path)
    assert "not a readable safetensors file" in refused(path)
    assert not (tmp_path / "canary").exists()


def test_another_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path)
    assert "no checkpoint of this project" in refused(path)


def test_weights_of_another_network_than_named_are_refused(checkpoint, model):
    other = replace(METADATA, model="airbench")
    save_checkpoint(checkpoint, model.state_dict(), other)
    assert "does not describe its own weights" in refused(checkpoint)


def test_a_number_of_classes_that_does_not_fit_the_weights_is_refused(checkpoint, model):
    other = replace(METADATA, classes=["cat", "dog"])
    save_checkpoint(checkpoint, model.state_dict(), other)
    assert "does not describe its own weights" in refused(checkpoint)


@pytest.mark.parametrize(
    "metadata",
    [
        {"model": "exec"},
        {"preprocessing": replace(PREPROCESSING, crop="large")},
        {"preprocessing": replace(PREPROCESSING, crop=-1)},
        {"preprocessing": replace(PREPROCESSING, mean=[0.5])},
        {"classes": 3},
    ],
)
def test_metadata_that_makes_no_sense_is_refused(checkpoint, model, metadata):
    save_checkpoint(checkpoint, model.state_dict(), replace(METADATA, **metadata))
    assert refused(checkpoint)


def test_a_failed_save_leaves_the_previous_checkpoint_and_no_other_file(checkpoint, model, monkeypatch):
    before = checkpoint.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(InputError, match="cannot be written: No space left"):
            save_checkpoint(checkpoint, {"weight": torch.zeros(3)}, METADATA)
    assert checkpoint.read_bytes() == before
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_who_reads_the_previous_checkpoint_during_a_save_reads_it_to_its_end(checkpoint, model):
    before = checkpoint.read_bytes()
    with open(checkpoint, "rb") as reader:
        save_checkpoint(checkpoint, {"weight": torch.zeros(3)}, METADATA)
        assert reader.read() == before
    assert checkpoint.read_bytes() != before
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_the_same_classes_are_accepted():
    require_same_classes(METADATA, ["Kätzchen", "dog", "frog"])


def test_other_classes_are_refused_with_the_difference():
    with pytest.raises(InputError, match=r"only in the checkpoint: \['frog'\], only in the dataset: \['horse'\]"):
        require_same_classes(METADATA, ["Kätzchen", "dog", "horse"])


def test_the_same_classes_in_another_order_are_refused_with_both_orders():
    with pytest.raises(InputError, match=r"another order: \['Kätzchen', 'dog', 'frog'\] against \['dog', 'K"):
        require_same_classes(METADATA, ["dog", "Kätzchen", "frog"])


def test_where_there_is_no_checkpoint_what_brings_one_is_named():
    with pytest.raises(InputError, match="nowhere not found: run `dvc repro`; `dvc checkout` or `dvc pull` bring back"):
        load_checkpoint("nowhere")
