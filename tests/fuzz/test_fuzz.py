"""Random inputs of each kind that is read: every one is used or refused in a sentence, and nothing else is raised.

A few of each with the fast tests; FUZZ_EXAMPLES of each by `make fuzz`, whose counts docs/reliability.md has.
"""

import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

from classifier.config import TrainParams, load_params
from classifier.data import images
from classifier.data.description import load_description
from classifier.data.images import decode
from classifier.data.layouts import open_dataset
from classifier.data.limits import MAX_PIXELS, memory_needed
from classifier.data.prepared import SplitWriter, map_split
from classifier.data.transparency import load
from classifier.errors import InputError
from classifier.network.checkpoint import KEY, load_checkpoint
from classifier.network.network import Network
from classifier.network.preprocessing import Preprocessing
from classifier.results.predictions import count_right, parse_predictions
from classifier.runs.recorded import parse_lock
from classifier.tensors import read_tensors, write_tensors
from classifier.training.checks import training_problems
from classifier.training.criterion import Criterion, weigh_classes
from classifier.training.loop import Trainer
from classifier.training.record import Epoch, Record
from classifier.training.resume import KEY as STATE
from classifier.training.resume import Begun
from tests.conftest import small
from tests.fuzz import strategies as kinds
from tests.fuzz.counting import fuzz
from tests.unit.test_datasets import write_cifar10

import numpy as np
import pyarrow.parquet
import pytest
import reweight
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

pytestmark = pytest.mark.filterwarnings("ignore")  # what Pillow says of damaged EXIF


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def used_or_refused(use: Callable[[], object]) -> None:
    """Raises whatever is no sentence."""
    try:
        use()
    except InputError as error:
        said = str(error)
        assert said
        assert all(len(line) < 1200 and line.isprintable() for line in said.splitlines()), said


@given(
    content=kinds.altered(kinds.whole_params()).map(lambda d: yaml.dump(d, allow_unicode=True).encode()) | st.binary()
)
@fuzz
def test_params(folder, content):
    (folder / "params.yaml").write_bytes(content)
    used_or_refused(lambda: load_params("train", folder / "params.yaml", further=training_problems))


@given(augment=kinds.AUGMENT)
@fuzz
def test_augment(folder, augment):
    document = kinds.whole_params()
    document["train"]["augment"] = augment
    (folder / "params.yaml").write_text(yaml.dump(document), encoding="utf-8", errors="backslashreplace")
    used_or_refused(lambda: load_params("train", folder / "params.yaml", further=training_problems))


TEXT = yaml.dump(kinds.whole_params()).encode()


@given(content=kinds.damaged(TEXT))
@fuzz
def test_damaged_params(folder, content):
    (folder / "params.yaml").write_bytes(content)
    used_or_refused(lambda: load_params("train", folder / "params.yaml"))


@given(content=kinds.PICTURES, fit=st.sampled_from(["crop", "pad", "squash"]))
@fuzz
def test_images(content, fit):
    try:
        assert decode(content, 8, fit).shape == (3, 8, 8)
    except ValueError as error:
        assert str(error)


def over_white(content: bytes) -> np.ndarray:
    """Pillow's first frame, uint8 [H, W, 3]."""
    picture = Image.open(io.BytesIO(content)).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB"))


@given(content=kinds.gifs() | kinds.apngs(), fit=st.sampled_from(["crop", "pad", "squash"]))
@fuzz
def test_animations(content, fit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "load", require_small)
        try:
            decoded = decode(content, 8, fit)
        except ValueError as error:
            assert str(error)
            return
    np.testing.assert_array_equal(decoded, decode(over_white(content), 8, fit))


def require_small(picture: Image.Image, data: bytes) -> None:
    """What decodes, of a picture that is within limits before it does."""
    assert picture.width * picture.height <= MAX_PIXELS
    memory_needed(picture, data)
    load(picture, data)
    assert picture.width * picture.height <= MAX_PIXELS


def read_all(root: Path) -> None:
    for split in open_dataset(root).splits.values():
        for sample in split.samples():
            assert isinstance(sample.image, bytes | np.ndarray)
            sample.path.encode()


@given(table=kinds.tables())
@fuzz
def test_parquet(folder, table):
    (folder / "parquet").mkdir(exist_ok=True)
    pyarrow.parquet.write_table(table, folder / "parquet/train-0.parquet")
    used_or_refused(lambda: read_all(folder / "parquet"))


@given(data=st.data())
@fuzz
def test_damaged_parquet(folder, data):
    (folder / "damaged").mkdir(exist_ok=True)
    path = folder / "damaged/train-0.parquet"
    table = pyarrow.table(
        {"image": [{"bytes": bytes([i]) * 50, "path": f"{i}"} for i in range(20)], "label": [i % 3 for i in range(20)]}
    )
    metadata = {"huggingface": json.dumps({"info": {"features": kinds.FEATURES}})}
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path)
    path.write_bytes(data.draw(kinds.damaged(path.read_bytes())))
    used_or_refused(lambda: read_all(folder / "damaged"))


@given(batch=kinds.altered(kinds.BATCH), protocol=st.integers(0, 5), data=st.data())
@fuzz
def test_cifar(folder, batch, protocol, data):
    root = folder / "cifar"
    if not root.exists():
        write_cifar10(root)
    content = pickle.dumps({key.encode("utf-8", "replace"): value for key, value in batch.items()}, protocol)
    if data.draw(st.booleans()):
        content = data.draw(kinds.damaged(content))
    (root / "cifar-10-batches-py/data_batch_2").write_bytes(content)
    used_or_refused(lambda: read_all(root))


WEIGHTS = small("airbench_small", 3, 16).module.state_dict()


@given(description=kinds.CHECKPOINTS)
@fuzz
def test_checkpoints_with_a_valid_digest(folder, description):
    path = folder / "c.safetensors"
    write_tensors(path, KEY, WEIGHTS, json.loads(json.dumps(description)))
    used_or_refused(lambda: load_checkpoint(path))


@given(data=st.data())
@fuzz
def test_damaged_checkpoints(folder, data):
    path = folder / "d.safetensors"
    write_tensors(path, KEY, {"w": WEIGHTS[next(iter(WEIGHTS))]}, {"format": "2"})
    path.write_bytes(data.draw(kinds.damaged(path.read_bytes())))
    used_or_refused(lambda: read_tensors(path, KEY))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A folder with a prepared dataset."""
    root = tmp_path_factory.mktemp("prepared")
    rng = np.random.default_rng(0)
    labels = {"train": [0, 0, 1, 2], "val": [0, 1, 2], "test": [2, 1, 0]}
    splits = {}
    (root / "prepared").mkdir()
    for split, own in labels.items():
        with open(root / f"prepared/{split}.safetensors", "wb") as file:
            writer = SplitWriter(file, np.array(own), 16)
            writer.append(rng.integers(0, 256, (len(own), 3, 16, 16), dtype=np.uint8))
        counts = {name: own.count(label) for label, name in enumerate(NAMES)}
        splits[split] = {"count": len(own), "per_class": counts, "source": "made"} | writer.digests()
    described = {"classes": NAMES, "image_size": 16, "fit": "crop", "mean": [0.5] * 3, "std": [0.2] * 3}
    (root / "prepared/dataset.json").write_text(json.dumps(described | {"splits": splits}))
    return root


NAMES = ["cat", "dog", "frog"]


def read_prepared() -> None:
    """As the stages do; whatever is read of it is then what it says."""
    description = load_description()
    for split, said in description.splits.items():
        images, labels = map_split(split, description)
        assert len(images[:]) == len(labels) == said["count"]
        assert dict(zip(description.classes, np.bincount(labels, minlength=3), strict=True)) == said["per_class"]
    assert weigh_classes("balanced", description.splits["train"]["per_class"]).isfinite().all()
    Preprocessing(description.image_size, description.fit, 8, "bilinear", description.mean, description.std)


@given(data=st.data())
@fuzz
def test_descriptions_of_a_dataset_that_lie(prepared, data):
    path = prepared / "prepared/dataset.json"
    sound = path.read_bytes()
    document = kinds.altered(json.loads(sound), kinds.LIES).map(lambda d: json.dumps(d).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(prepared)
        used_or_refused(read_prepared)
        try:
            path.write_bytes(data.draw(document | kinds.damaged(sound)))
            used_or_refused(read_prepared)
        finally:
            path.write_bytes(sound)


@given(data=st.data(), split=st.sampled_from(["train", "val", "test"]))
@fuzz
def test_damaged_splits(prepared, data, split):
    path = prepared / f"prepared/{split}.safetensors"
    sound = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(prepared)
        try:
            path.write_bytes(data.draw(kinds.damaged(sound)))
            used_or_refused(read_prepared)
            used_or_refused(lambda: map_split(split).images[:])
        finally:
            path.write_bytes(sound)


STEPS = 4  # of an epoch


def small_trainer(optimizer: str) -> Trainer:
    """One whose network is small, before its first step."""
    document = kinds.whole_params()["train"]
    document |= {"optimizer": optimizer, "lr": 0.01, "epochs": 3, "image_size": 4, "ema": 0.9}
    params = TrainParams(**document)
    head = torch.nn.Linear(4, 3)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4), torch.nn.Flatten(), head)
    network = Network(module, head, Preprocessing(4, "crop", 4, "bilinear", (0.5,) * 3, (0.2,) * 3))
    criterion = Criterion(torch.ones(3), "loss", 0.0)
    return Trainer(network, params, lambda x, _: x, criterion, 4, torch.device("cpu"), torch.float32)


def train_step(trainer: Trainer) -> None:
    loss, _ = trainer.train_step(torch.full((6, 3, 4, 4), 99, dtype=torch.uint8), torch.tensor([0, 1, 2, 0, 1, 2]))
    assert loss.shape == ()


@pytest.fixture(scope="module")
def states(tmp_path_factory) -> dict[str, Path]:
    """For each optimizer, the file of a training that is in its second epoch."""
    found = {}
    for optimizer in ("muon", "sgd", "adamw"):
        found[optimizer] = tmp_path_factory.mktemp("states") / f"{optimizer}.safetensors"
        trainer = small_trainer(optimizer)
        record = Record(found[optimizer], trainer, STEPS)
        train_step(trainer)
        row = Epoch(1, 0.01, 1.0, 0.5, 1.0, 0.5)
        record.add(row, row._asdict() | {"images_per_second": 9.0})
        record.save(Begun(torch.ones(2), torch.ones(2)))
    return found


def go_on(path: Path, optimizer: str) -> None:
    trainer = small_trainer(optimizer)
    record = Record(path, trainer, STEPS)
    assert len(record.history) <= 3
    assert record.begun.steps < STEPS
    trainer.judged.module.load_state_dict(record.weights) if record.weights else None
    train_step(trainer)


@given(data=st.data(), optimizer=st.sampled_from(["muon", "sgd", "adamw"]))
@fuzz
def test_states_with_a_valid_digest(folder, states, data, optimizer):
    tensors, values = read_tensors(states[optimizer], STATE)
    for _ in range(data.draw(st.integers(0, 3))):
        name = data.draw(st.sampled_from(list(tensors) or ["a"]))
        other = data.draw(st.sampled_from(list(tensors) or ["a"]) | st.text(st.characters(codec="utf-8"), max_size=8))
        tensors[data.draw(st.sampled_from([name, other]))] = data.draw(TENSORS)
        if data.draw(st.booleans()):
            tensors.pop(other, None)
    changed = data.draw(st.just(values) | kinds.altered(values, kinds.JSON))
    write_tensors(folder / "s.safetensors", STATE, tensors, changed)
    used_or_refused(lambda: go_on(folder / "s.safetensors", optimizer))


TENSORS = st.builds(
    lambda shape, dtype, value: torch.full(shape, value).to(dtype),
    st.lists(st.integers(0, 4), max_size=4),
    st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool, torch.uint8, torch.bfloat16]),
    st.sampled_from([0.0, 1.0, -1.0, float("nan"), 1e30]),
)


class Canary:
    def __reduce__(self):
        return Path.touch, (CANARY,)


CANARY = Path("the-code-of-a-pickle-was-run")
PICKLES = [pickle.dumps([Canary(), {"model.1": 1}], protocol) for protocol in range(6)]


@given(data=st.data())
@fuzz
def test_damaged_states(folder, states, data):
    sound = states["sgd"].read_bytes()
    content = data.draw(kinds.damaged(sound) | st.binary() | st.sampled_from(PICKLES).flatmap(kinds.damaged))
    (folder / "s.safetensors").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        used_or_refused(lambda: go_on(folder / "s.safetensors", "sgd"))
        assert not CANARY.exists()


PREDICTIONS = (
    b"index,path,label,prediction,confidence,cat,dog\n0,a.png,cat,cat,0.9,0.9,0.1\n1,b.png,dog,cat,0.6,0.6,0.4\n"
)


@given(content=kinds.damaged(PREDICTIONS))
@fuzz
def test_predictions(content):
    used_or_refused(lambda: count_right(parse_predictions(content, "predictions.csv")))


@given(metrics=kinds.altered({"val": {"recall": {"cat": 0.5, "dog": 0.9}}}, kinds.JSON) | kinds.JSON)
@fuzz
def test_metrics(folder, metrics):
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reweight, "METRICS", folder / "metrics.json")
        used_or_refused(reweight.read_recall)


@given(content=kinds.TREE.map(lambda tree: yaml.dump(tree).encode()) | st.binary())
@fuzz
def test_locks(content):
    used_or_refused(lambda: parse_lock(content, "dvc.lock"))


NAME = st.text(max_size=12) | st.binary(max_size=12).map(os.fsdecode)
USABLE = NAME.filter(lambda name: name.strip("./") == name != "" and "\0" not in name and "/" not in name)


@given(names=st.lists(USABLE, min_size=2, max_size=3, unique=True), file=USABLE)
@fuzz
def test_names(tmp_path_factory, names, file):
    root = tmp_path_factory.mktemp("names")
    for name in names:
        folder = root / "train" / os.fsdecode(os.fsencode(name.encode("utf-8", "surrogateescape")))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / os.fsdecode(file.encode("utf-8", "surrogateescape") + b".png")).write_bytes(b"x")
    used_or_refused(lambda: read_all(root))
