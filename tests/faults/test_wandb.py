"""W&B as it should be, and every way in which it can fail: results are the same bytes, and training ends."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import evaluate
import prepare
import train
from classifier.tracking import tracker as tracking
from tests.conftest import ROOT
from tests.wandb_failures import FAILURES
from tests.wandb_server import WandbServer

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

OUTPUTS = ["models", "plots", "metrics.json", "predictions.csv"]
EPOCHS = 3


@pytest.fixture
def pipeline(workspace, small_dataset, params, monkeypatch):
    """A function: run train.py and evaluate.py in this process, with the given environment; returns their outputs.

    The dataset is prepared; half of the test images have the colour of another class, for mistakes to log.
    """
    root = small_dataset()
    for i in range(2):
        shutil.copy(root / "train" / "cat" / f"00{i}.png", root / "test" / "frog" / f"00{i}.png")
        (root / "train" / "cat" / f"00{i}.png").unlink()
    Path("params.yaml").write_text(params({"train.epochs": EPOCHS, "train.batch_size": 3}))
    prepare.main()
    monkeypatch.setattr(tracking, "PATIENCE", (90, 90, 90))  # how long it takes is for bench/tracking.py to measure
    monkeypatch.setenv("HOME", str(workspace / "home"))  # where an API key might lie
    (workspace / "home").mkdir()

    def run(**environment: str) -> dict[str, bytes]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        train.main()
        evaluate.main()
        return outputs()

    return run


def outputs() -> dict[str, bytes]:
    files = [path for name in OUTPUTS for path in [Path(name), *Path(name).rglob("*")] if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def value(config: dict) -> dict:
    """A run's config as it was given: W&B wraps each value."""
    return {name: wrapped["value"] for name, wrapped in config.items() if name != "_wandb"}


def check_run(server: WandbServer) -> None:
    """The server holds one run, with all that training and evaluation tell of."""
    (id,) = server.runs
    run = server.runs[id]
    assert server.unknown == set()
    assert run.exitcode == 0
    assert set(run.tags) == {"airbench_small", "seed=0"}

    config = value(run.config)
    assert config["train"]["lr"] == 0.1
    assert config["prepare"]["image_size"] == 16
    assert config["evaluate"]["tta"] == "none"
    assert config["data"]["classes"] == ["cat", "dog", "frog"]
    assert config["data"]["images"] == {"train": 16, "val": 6, "test": 12}
    assert len(config["data"]["sha256"]) == 64
    assert config["environment"]["device"] == "cpu"
    assert config["environment"]["precision"] == "float32"
    assert config["environment"]["threads"] >= 1
    assert {"git_commit", "dvc"} <= config.keys()

    epochs = [row for row in run.history if "epoch" in row]
    history = [line.split(",") for line in Path("plots/history.csv").read_text().splitlines()[1:]]
    names = ("epoch", "lr", "train/loss", "train/accuracy", "val/loss", "val/accuracy")
    assert [[row[name] for name in names] for row in epochs] == [[float(v) for v in row] for row in history]
    for row in epochs:
        assert row["images_per_second"] > 0
        counts = {"cat": 2, "dog": 2, "frog": 2}
        right = sum(row[f"val_recall/{name}"] * count for name, count in counts.items())
        assert right / 6 == pytest.approx(row["val/accuracy"])
    assert run.summary["val/accuracy"]["max"] == max(row["val/accuracy"] for row in epochs)
    assert run.summary["val/loss"]["min"] == min(row["val/loss"] for row in epochs)
    metrics = run.config["_wandb"]["value"]["m"]  # 1: name, 2: pattern, 5: number in this list of what is the x axis
    stepped = {m.get("1", m.get("2")) for m in metrics if "5" in m and metrics[m["5"] - 1]["1"] == "epoch"}
    assert {"lr", "val/accuracy", "val/loss", "train/*", "val_recall/*"} <= stepped
    assert run.events, "wandb adds system metrics"

    assert run.summary["evaluate"] == json.loads(Path("metrics.json").read_text())
    last = run.history[-1]
    tables = {name: json.loads(run.files[last[name]["path"]]) for name in last if name.endswith(("_table", "class"))}
    per_class = tables["test/per_class"]
    assert per_class["columns"] == ["class", "recall", "recall_low", "recall_high", "precision", "f1", "images"]
    assert [row[0] for row in per_class["data"]] == ["cat", "dog", "frog"]
    predictions = pd.read_csv("predictions.csv")
    counted = Counter(zip(predictions["label"], predictions["prediction"], strict=True))
    assert {(a, b): n for a, b, n in tables["test/confusion_matrix_table"]["data"] if n} == counted
    wrong = predictions[predictions["label"] != predictions["prediction"]].sort_values("confidence", ascending=False)
    mistakes = last["test/mistakes"]
    described = zip(wrong["prediction"], wrong["confidence"], wrong["label"], strict=True)
    assert mistakes["captions"] == [f"{answer} {confidence:.0%}, is {label}" for answer, confidence, label in described]
    assert all(run.files[name].startswith(b"\x89PNG") for name in mistakes["filenames"])

    artifacts = {a["artifactTypeName"]: (key, a) for key, a in server.artifacts.items()}
    for kind, path in {"dataset": "prepared/dataset.json", "model": "models/classifier.safetensors"}.items():
        files = artifacts[kind][1]["files"]
        assert list(files) == ["wandb_manifest.json"], "only a reference, no upload"
        (entry,) = json.loads(files["wandb_manifest.json"])["contents"].values()
        assert entry["ref"] == Path(path).resolve().as_uri()
    assert server.used == [(id, artifacts["dataset"][0])]


def test_online_one_run_holds_training_and_evaluation(pipeline, capfd):
    with WandbServer() as server:
        pipeline(**server.environment)
        check_run(server)
    assert capfd.readouterr().out.count(f"W&B: {server.url}") == 2


def sync(told: str) -> WandbServer:
    """Do what the last line of what evaluate.py printed says; returns a server that holds what was uploaded."""
    command = told.rpartition("`wandb sync ")[2].partition("`")[0]
    with WandbServer() as server:
        environment = os.environ | server.environment
        subprocess.run(f"{sys.executable} -m wandb sync {command}", shell=True, check=True, env=environment)
    return server


def test_an_offline_run_holds_the_same_once_it_is_synced(pipeline, capfd):
    pipeline(WANDB_MODE="offline")
    check_run(sync(capfd.readouterr().out))


def test_what_a_killed_evaluation_has_left_does_not_hinder_the_upload(pipeline, capfd):
    pipeline(WANDB_MODE="offline")
    *_, log = sorted(Path("wandb").glob("offline-run-*/*.wandb"))
    log.write_bytes(log.read_bytes()[:7])  # its header
    evaluate.main()
    check_run(sync(capfd.readouterr().out))


def test_the_evaluation_of_a_model_from_elsewhere_is_a_run_of_its_own(pipeline, capfd):
    pipeline(WANDB_MODE="offline")
    shutil.rmtree("wandb")
    evaluate.main()
    (run,) = sync(capfd.readouterr().out).runs.values()
    assert run.summary["evaluate"] == json.loads(Path("metrics.json").read_text())
    assert value(run.config)["train"]["lr"] == 0.1


def test_a_training_that_fails_is_a_failed_run(pipeline, params):
    Path("params.yaml").write_text(params({"train.lr": 1e30, "train.epochs": 50}))
    with WandbServer() as server:
        done = subprocess.run([sys.executable, ROOT / "train.py"], env=os.environ | server.environment)
        deadline = time.monotonic() + 60  # nobody waits for the run, so it may end later
        while not any(run.exitcode for run in server.runs.values()) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert done.returncode == 1
    assert [run.exitcode for run in server.runs.values()] == [1]


@pytest.fixture(scope="module")
def untracked() -> dict[str, bytes]:
    """The outputs of a run without W&B, once there is one."""
    return {}


@pytest.fixture
def failing(pipeline, untracked, monkeypatch):
    """A function as `pipeline`, but as impatient as in earnest, which ends with a check of the outputs."""

    def run(**environment: str) -> None:
        if not untracked:
            untracked.update(pipeline(WANDB_MODE="disabled"))
            for name in OUTPUTS:
                shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()
        monkeypatch.setattr(tracking, "PATIENCE", (2, 5, 90))
        assert pipeline(**environment) == untracked

    return run


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_changes_no_byte_and_loses_nothing(failing, failure, capfd):
    with ExitStack() as stack:
        failing(**failure(stack.enter_context))
    told = capfd.readouterr().out
    assert told.count("W&B: offline run") == 2, "one line for training, one for evaluation"
    check_run(sync(told))


def test_a_process_of_wandb_that_dies_changes_no_byte_and_loses_nothing(failing, monkeypatch, capfd):
    log = tracking.Tracker.log

    def log_and_kill(self, **values):
        log(self, **values)
        if self._process:
            self._process.kill()

    monkeypatch.setattr(tracking.Tracker, "log", log_and_kill)
    failing(WANDB_MODE="offline")
    check_run(sync(capfd.readouterr().out))


def test_without_the_package_results_are_the_same(failing, monkeypatch, capfd):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    failing(WANDB_MODE="online")
    assert capfd.readouterr().out.count("W&B: not installed, so this run is not tracked") == 2


def test_a_full_disk_is_told_and_results_are_the_same(pipeline):
    expected = pipeline(WANDB_MODE="disabled")
    Path("wandb").mkdir()
    script = "mount -t tmpfs -o size=16k tmpfs wandb && exec {} -c 'import train; train.main()'"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script.format(sys.executable)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"}
    if subprocess.run([*command[:4], "true"], check=False).returncode:
        pytest.skip("this system allows no mounts in user namespaces")
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    assert outputs() == expected
    assert "W&B: this run is not tracked" in done.stdout
