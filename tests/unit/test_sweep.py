"""sweep.yaml and scripts/sweep_trial.py: what W&B's agent passes becomes a DVC experiment."""

import subprocess
import sys
from dataclasses import fields

from classifier.config import STAGES
from classifier.errors import InputError
from tests.conftest import ROOT

import pytest
import sweep_trial
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args


def sweep() -> dict:
    return yaml.safe_load((ROOT / "sweep.yaml").read_text())


def test_the_arguments_that_an_agent_passes_become_parameters_of_an_experiment():
    trial = {"train.lr": {"value": 0.07}, "train.model": {"value": "resnet18"}, "train.class_weights.cat": {"value": 2}}
    assert sweep_trial.experiment(create_sweep_command_args({"args": trial})["args"], "1a2b") == [
        *["exp", "run", "--temp", "--name", "sweep-1a2b"],
        *["--set-param", "++train.lr=0.07"],
        *["--set-param", "++train.model=resnet18"],
        *["--set-param", "++train.class_weights.cat=2"],
    ]


def test_without_an_agent_dvc_names_the_experiment():
    assert "--name" not in sweep_trial.experiment(["--train.lr=0.1"], None)


@pytest.mark.parametrize("argument", ["--lr=0.1", "--train.lr", "train.lr=0.1", "--trian.lr=0.1"])
def test_an_argument_that_is_no_parameter_is_refused(argument):
    with pytest.raises(InputError, match=r"must be --SECTION\.KEY=VALUE"):
        sweep_trial.experiment([argument], None)


def test_what_the_sweep_varies_are_parameters():
    for name in sweep()["parameters"]:
        section, key = name.split(".")
        assert key in {field.name for field in fields(STAGES[section])}


def test_the_sweep_chooses_by_the_validation_split():
    assert sweep()["metric"] == {"name": "evaluate.val.accuracy", "goal": "maximize"}


def test_the_command_of_the_sweep_runs():
    command = [part.replace("${program}", sweep()["program"]) for part in sweep()["command"]]
    assert command == ["python", "scripts/sweep_trial.py", "${args}"]
    done = subprocess.run(
        [sys.executable, *command[1:2], "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "wandb agent SWEEP" in done.stdout
