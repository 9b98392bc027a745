"""Sweeps both ways: DVC's queue and W&B's agent give every trial an experiment in DVC and a run in W&B."""

import os
import re
import subprocess
import sys

from tests.clones import ROOT
from tests.wandb_server import Run, WandbServer

import pytest
import yaml

pytestmark = pytest.mark.slow


@pytest.fixture
def tracked(own, monkeypatch):
    """The finished clone, in which W&B has all the time that it needs."""
    own.edit("classifier/tracking/tracker.py", "PATIENCE = 2, 5, 3", "PATIENCE = 120, 60, 60")
    own.commit("patience")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HOME", str(own.path.parent))  # where an API key might lie
    return own


def sync(clone) -> dict[str, Run]:
    """What a server holds once all offline runs of the clone are uploaded."""
    command = f"{sys.executable} -m wandb sync wandb/offline-run-*"
    with WandbServer() as server:
        subprocess.run(command, shell=True, check=True, cwd=clone.path, env=os.environ | server.environment)
    return server.runs


def test_every_trial_of_a_queue_is_a_run_of_one_group(tracked):
    tracked.run("dvc", "exp", "run", "--queue", "--set-param", "train.seed=1,2")
    tracked.run("dvc", "exp", "run", "--run-all")
    runs = sync(tracked)
    experiments = tracked.run("dvc", "exp", "list", "--name-only").split()
    assert sorted(run.name for run in runs.values()) == sorted(experiments)
    assert len(experiments) == 2
    assert {run.group for run in runs.values()} == {tracked.run("git", "rev-parse", "HEAD")[:7]}
    assert {tag for run in runs.values() for tag in run.tags if "=" in tag} == {"seed=1", "seed=2"}
    assert all("evaluate" in run.summary and run.exitcode == 0 for run in runs.values())
    program = re.search("```python\n(.*?)```", (ROOT / "docs" / "tracking.md").read_text(), re.DOTALL)[1]
    header, *rows = tracked.run("python", "-c", program).splitlines()
    assert set(header.split()) == {"run", *runs}, "docs/tracking.md reads a column for each run back"
    assert [row.split()[0] for row in rows] == ["epoch", "1", "2"]


def test_a_trial_of_an_agent_is_an_experiment_that_can_be_applied(tracked, monkeypatch):
    before = (tracked.path / "params.yaml").read_text()
    monkeypatch.setenv("WANDB_RUN_ID", "1a2b3c4d")
    monkeypatch.setenv("WANDB_SWEEP_ID", "mysweep")
    tracked.run("python", "scripts/sweep_trial.py", "--train.lr=0.07", "--train.class_weights.nine=2")
    assert (tracked.path / "params.yaml").read_text() == before
    runs = sync(tracked)
    assert list(runs) == ["1a2b3c4d"]
    assert runs["1a2b3c4d"].name == "sweep-1a2b3c4d"
    assert runs["1a2b3c4d"].sweep == "mysweep"
    assert runs["1a2b3c4d"].config["train"]["value"]["lr"] == 0.07
    assert "accuracy" in runs["1a2b3c4d"].summary["evaluate"]["val"]
    tracked.run("dvc", "exp", "apply", "sweep-1a2b3c4d")
    train = yaml.safe_load((tracked.path / "params.yaml").read_text())["train"]
    assert train["lr"] == 0.07
    assert train["class_weights"] == {"nine": 2}
