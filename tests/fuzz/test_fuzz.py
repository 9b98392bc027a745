"""Random inputs of each kind that is read: every one is used or refused in a sentence, and nothing else is raised.

A few of each with the fast tests; FUZZ_EXAMPLES of each by `make fuzz`, whose counts docs/reliability.md has.
"""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

from classifier.config import load_params
from classifier.data.images import decode
from classifier.data.layouts import open_dataset
from classifier.errors import InputError
from classifier.network.checkpoint import KEY, load_checkpoint
from classifier.results.predictions import count_right, parse_predictions
from classifier.runs.recorded import parse_lock
from classifier.tensors import read_tensors, write_tensors
from classifier.training.checks import training_problems
from tests.conftest import small
from tests.fuzz import strategies as kinds
from tests.unit.test_datasets import write_cifar10

import numpy as np
import pyarrow.parquet
import pytest
import reweight
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
LONG = "FUZZ_EXAMPLES" in os.environ

fuzz = settings(
    max_examples=EXAMPLES,
    derandomize=not LONG,  # the fast tests try the same each time
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
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
