"""What several test files share: a folder to run stages in, small datasets and a valid params.yaml."""

import os
import signal
import sys
import tempfile
from itertools import islice
from pathlib import Path

from tests.warm import start_server

import numpy as np
import pytest
import yaml
from PIL import Image

pytest_plugins = ["tests.clones"]

ROOT = Path(__file__).resolve().parents[1]

os.environ["WANDB_MODE"] = "disabled"  # a test that wants a run says so
os.environ["WANDB_ERROR_REPORTING"] = "false"
for of_make in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # a `make` that a test starts is not one of `make test`
    os.environ.pop(of_make, None)
for role in ("AUTHOR", "COMMITTER"):
    os.environ |= {f"GIT_{role}_NAME": "test", f"GIT_{role}_EMAIL": "test@localhost"}
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, as would what it starts

COLOURS = {"cat": (200, 60, 40), "dog": (60, 180, 70), "frog": (50, 70, 210)}

# Tests that take a minute or more, the longest first.
LONGEST = ("README.md", "tutorial.md", "test_interrupted", "test_crash", "test_wandb", "test_present", "test_sweeps")

# What a run of a second needs other than what stands in params.yaml.
TINY = {
    "prepare": {"image_size": 16, "fit": "crop", "val_fraction": 0.25, "test_fraction": 0.25, "seed": 0, "augment": {}},
    "train": {
        "model": "airbench_small",
        "pretrained": "none",
        "image_size": 16,
        "seed": 0,
        "epochs": 1,
        "batch_size": 8,
        "optimizer": "muon",
        "lr": 0.1,
        "schedule": "linear",
        "warmup": 0.0,
        "low_res_share": 0.0,
        "class_weights": {},
        "class_weighting": "loss",
        "flip": "none",
        "augment": {},
        "precision": "fp32",
        "keep": "best",
        "calibrate": False,
    },
    "evaluate": {"tta": "none"},
}


def pytest_configure(config):
    """Start the warm process, once for all workers of pytest-xdist."""
    if sys.platform == "linux" and not hasattr(config, "workerinput"):  # elsewhere, forks of such processes may crash
        folder = tempfile.TemporaryDirectory()
        server, programs = start_server(Path(folder.name))
        config.add_cleanup(folder.cleanup)
        config.add_cleanup(server.communicate)
        os.environ["WARM_PROGRAMS"] = str(programs)


def pytest_collection_modifyitems(items):
    """Deal the slow tests out, file by file, so that each worker begins with some of LONGEST and ends with fast ones.

    `--dist worksteal` gives each worker an equal number of tests in a row; who is done takes from the ends of others.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow, fast = {}, []
    for item in items:
        key = next((i for i, name in enumerate(LONGEST) if name in item.nodeid), len(LONGEST)), item.path
        slow.setdefault(key, []).append(item) if item.get_closest_marker("slow") else fast.append(item)
    share, rest, items[:] = -(-len(items) // workers), iter(fast), []
    for worker in range(workers):
        dealt = [item for key in sorted(slow)[worker::workers] for item in slow[key]]
        items += [*dealt, *islice(rest, max(0, share - len(dealt)))]
    items += rest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Where ALLOW_NO_SKIPS is set, as in continuous integration, a test that would be skipped fails."""
    report = yield
    if report.skipped and os.environ.get("ALLOW_NO_SKIPS"):
        report.outcome, report.longrepr = "failed", f"skipped, which ALLOW_NO_SKIPS forbids: {report.longrepr[-1]}"
    return report


def small(name: str, num_classes: int, size: int):
    """A network with untrained weights for images of `size` pixels, and a mean and a spread that no dataset has."""
    from classifier.network.models import build_network
    from classifier.network.preprocessing import Preprocessing

    preprocessing = Preprocessing(size, "crop", size, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    return build_network(name, num_classes, preprocessing)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty folder that is the current one, as the repository root is for a stage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEVICE", "cpu")
    return tmp_path


@pytest.fixture(scope="session")
def params():
    """A function: the text of a valid params.yaml for tiny runs, e.g. params({"train.lr": 0.1})."""

    def text(changes=None):
        document = yaml.safe_load((ROOT / "recipes" / "cifar10.yaml").read_text())
        for section, values in TINY.items():
            document[section] |= values
        for key, value in (changes or {}).items():
            section, name = key.split(".")
            document[section][name] = value
        if "train.image_size" not in (changes or {}):
            document["train"]["image_size"] = document["prepare"]["image_size"]
        return yaml.safe_dump(document, sort_keys=False)

    return text


@pytest.fixture
def small_dataset(tmp_path):
    """A function that writes image folders, train/<class>/*.png and test/<class>/*.png, and returns their root.

    Every image is different, and the classes differ in colour: a network can learn them.
    """

    def write(root=None, train=8, test=4, val=0, size=16):
        root = Path(root or tmp_path / "data")
        rng = np.random.default_rng(0)
        for split, count in (("train", train), ("val", val), ("test", test)):
            for name, colour in COLOURS.items():
                for i in range(count):
                    path = root / split / name / f"{i:03}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    noise = rng.integers(-40, 40, (size, size, 3))
                    Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(path)
        return root

    return write
