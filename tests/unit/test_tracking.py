"""classifier/tracking/tracker.py: what a stage notices of W&B, which is next to nothing."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from classifier.files import write_json
from classifier.tracking import tracker as tracking
from tests.conftest import ROOT

import pytest
import yaml

ROW = {"epoch": 1, "val_recall": [0.5] * 100}


@pytest.fixture
def start(workspace, params, monkeypatch):
    """A function: begin a run whose processes run the given Python programs in turn."""

    def start(*programs: str) -> tracking.Tracker:
        Path("params.yaml").write_text(params())
        commands = iter(programs)
        spawn = tracking.subprocess.Popen

        def start_program(command, **options):
            return spawn([sys.executable, "-c", next(commands)], **options)

        monkeypatch.setattr(tracking.subprocess, "Popen", start_program)
        monkeypatch.setenv("WANDB_MODE", "online")
        return tracking.start_run("train", {"threads": 2})

    return start


DEAF = "import time; time.sleep(30)"
COPYING = """
import json, os, sys
lines = sys.stdin.read().splitlines()
print(json.dumps({"folders": [os.environ["WANDB_MODE"] + str(len(lines))]}))
"""


def test_disabled_starts_nothing(start, monkeypatch, capsys):
    monkeypatch.setattr(tracking, "find_spec", None)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = tracking.start_run("train", {"threads": 2})
    tracker.log(**ROW)
    tracker.finish()
    assert capsys.readouterr().out == ""


def test_a_folder_of_runs_is_not_taken_for_the_package(workspace, monkeypatch, capsys):
    Path("wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(workspace)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setenv("WANDB_MODE", "online")
    tracking.start_run("train", {"threads": 2}).finish()
    assert capsys.readouterr().out == "W&B: not installed, so this run is not tracked\n"


def test_the_first_message_says_what_the_stage_is(start):
    tracker = start(COPYING)
    first = json.loads(tracker._messages[0])
    assert first["stage"] == "train"
    assert first["params"]["train"]["lr"] == 0.1
    assert first["environment"] == {"threads": 2}
    tracker.finish()


def test_a_process_that_answers_is_all_that_is_needed(start, capsys):
    tracker = start(COPYING)
    tracker.log(**ROW)
    tracker.finish()
    assert capsys.readouterr().out == "W&B: offline run. `wandb sync online3` uploads it\n"


def test_a_process_that_is_late_is_waited_for_and_no_spare_run_is_made(start, monkeypatch, capsys):
    monkeypatch.setattr(tracking, "PATIENCE", (0.1, 60, 60))
    tracker = start("import time; time.sleep(1)" + COPYING, DEAF)
    tracker.log(**ROW)
    tracker.finish()
    assert capsys.readouterr().out == "W&B: offline run. `wandb sync online3` uploads it\n"


def test_a_process_that_fails_is_replaced_by_one_that_writes_all_offline(start, monkeypatch, capsys):
    monkeypatch.setattr(tracking, "PATIENCE", (60, 60, 60))
    tracker = start("raise SystemExit(1)", COPYING)
    tracker.log(**ROW)
    tracker.finish()
    assert "`wandb sync offline3` uploads it" in capsys.readouterr().out


def test_a_process_that_reads_nothing_is_ended_and_replaced(start, monkeypatch, capsys):
    monkeypatch.setattr(tracking, "PATIENCE", (60, 60, 60))
    tracker = start(DEAF, COPYING)
    for _ in range(1000):  # more than a pipe holds
        tracker.log(**ROW)
    assert tracker._process.returncode == -signal.SIGKILL, "ended, not waited for"
    tracker.finish()
    assert "`wandb sync offline1002` uploads it" in capsys.readouterr().out


def test_two_processes_that_fail_cost_one_line(start, monkeypatch, capsys):
    monkeypatch.setattr(tracking, "PATIENCE", (0.5, 0.5, 0.5))
    start(DEAF, DEAF).finish()
    assert capsys.readouterr().out == "W&B: this run is not tracked (W&B failed or did not answer in time)\n"


def test_a_process_that_cannot_start_costs_one_line(workspace, params, monkeypatch, capsys):
    Path("params.yaml").write_text(params())
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(tracking.sys, "executable", "/no/python")
    tracker = tracking.start_run("train", {"threads": 2})
    tracker.log(**ROW)
    tracker.finish()
    assert capsys.readouterr().out.startswith("W&B: this run is not tracked")


def test_all_waits_together_are_at_most_ten_seconds():
    assert sum(tracking.PATIENCE) <= 10


def test_paths_are_told_from_where_one_stands(workspace):
    folders = [str(workspace / "wandb" / "offline-1"), "/elsewhere/offline-2"]
    assert "`wandb sync wandb/offline-1 /elsewhere/offline-2`" in tracking.closing_line({"folders": folders})


def test_the_process_of_a_training_starts_without_pandas_and_torch():
    program = "import classifier.tracking.process, sys; print({'pandas', 'torch'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_a_run_is_called_after_its_commit_and_says_whether_files_differ_from_it(workspace, params, monkeypatch):
    from classifier.tracking import run as wandb_run

    import wandb

    Path("params.yaml").write_text(params())
    write_json("prepared/dataset.json", {"splits": {}, "classes": []})
    for command in ("init --quiet", "add params.yaml", "commit --quiet --message start", "tag baseline"):
        subprocess.run(["git", *command.split()], check=True)
    first = {"params": yaml.safe_load(params()), "environment": {}}
    assert wandb_run.identify(first, wandb.Settings())["name"] == "baseline"
    Path("params.yaml").write_text(params({"train.lr": 0.2}))
    assert wandb_run.identify(first, wandb.Settings())["name"] == "baseline-dirty"
