"""docs/what-reruns.md is right: which stages a change makes DVC run again, and which not."""

import os
import re
from fnmatch import fnmatchcase
from typing import get_args, get_type_hints

from classifier.config import STAGES, load_params
from classifier.errors import InputError
from classifier.network.models import WIDTHS
from tests.clones import ROOT, Clone

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")]  # dvc's own

# What the table does not list: an edit, and the first stage that must then run.
EDITS = {
    "a comment in params.yaml": ("params.yaml", "prepare:", "# a comment\nprepare:", []),
    "a number written otherwise": ("params.yaml", "lr: 0.24", "lr: 0.240", []),
    "the order of parameters": (
        "params.yaml",
        "  keep: best\n  calibrate: true",
        "  calibrate: true\n  keep: best",
        [],
    ),
    "a description in dvc.yaml": ("dvc.yaml", "desc: Train a network", "desc: Training", []),
    "a plot in dvc.yaml": ("dvc.yaml", "title: Accuracy per epoch", "title: Accuracy", []),
    "a command in dvc.yaml": ("dvc.yaml", "{LAUNCH:-python} train.py", "{LAUNCH:-python} -u train.py", ["train"]),
}

# What else must be other than in the digits' params.yaml for another value of a parameter to be valid.
TUNING = {"train.optimizer": "sgd", "train.pretrained": "a1_in1k"}
NEEDS = {
    "train.image_size": {"prepare.image_size": 32},
    "train.pretrained": {"train.optimizer": "sgd"},
    "train.freeze": TUNING,
    "train.freeze_epochs": TUNING,
    "train.backbone_lr_scale": TUNING,
    "train.layer_decay": TUNING,
}


def table() -> list[tuple[str, str]]:
    """The first stage to run, or "nothing", for each pattern of docs/what-reruns.md."""
    rows = re.findall(r"^\| (`.+?) \| (\w+) \|", (ROOT / "docs" / "what-reruns.md").read_text(), re.MULTILINE)
    return [(pattern, stage) for patterns, stage in rows for pattern in re.findall("`(.+?)`", patterns)]


def parameters(clone: Clone) -> list[tuple[str, str]]:
    document = yaml.safe_load((clone.path / "params.yaml").read_text())
    return [(section, name) for section, values in document.items() for name in values]


def files(clone: Clone) -> list[str]:
    return clone.run("git", "ls-files").splitlines()


def changeable(clone: Clone) -> list[str]:
    """Every parameter, every file that Git knows, and the data."""
    return ["data/", *map(".".join, parameters(clone)), *files(clone)]


def expected(thing: str) -> list[str]:
    """The stages that the table has for a parameter or a file; a row of its own comes before one with a `*`."""
    own = [stage for pattern, stage in table() if pattern == thing]
    return own or [stage for pattern, stage in table() if fnmatchcase(thing, pattern)]


def another(value, section: str, name: str):
    """A value that the parameter may have and does not."""
    if isinstance(value, dict):
        return value | ({"nine": 2.0} if name == "class_weights" else {"RandomGrayscale": {"p": 0.5}})
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 + 0.01
    choices = get_args(get_type_hints(STAGES[section])[name]) or WIDTHS
    return next(choice for choice in choices if choice != value)


def first_to_run(clone: Clone) -> str:
    return next(iter(clone.would_run()), "nothing")


def test_the_table_has_every_parameter_and_every_file_once(pipeline):
    rows = {thing: expected(thing) for thing in changeable(pipeline)}
    assert [thing for thing, found in rows.items() if not found] == [], "not in docs/what-reruns.md"
    assert [thing for thing, found in rows.items() if len(found) > 1] == [], "twice in docs/what-reruns.md"


def test_the_table_has_nothing_that_does_not_exist(pipeline):
    things = changeable(pipeline)
    assert [p for p, _ in table() if not any(fnmatchcase(thing, p) for thing in things)] == []


def first_to_declare(clone: Clone, thing: str) -> str:
    """The first stage of dvc.yaml that names a file among those it reads or writes, or a parameter, or its section."""
    for name, stage in yaml.safe_load((clone.path / "dvc.yaml").read_text())["stages"].items():
        metrics = [file for metric in stage.get("metrics", []) for file in metric]
        if thing in (*stage["params"], *stage["deps"], *metrics) or thing.split(".")[0] in stage["params"]:
            return name
    return "nothing"


def test_stages_declare_what_the_table_says(pipeline):
    """And what is declared is looked at, which the tests below show."""
    things = [".".join(pair) for pair in parameters(pipeline)] + files(pipeline)
    wrong = {thing: first for thing in things if [first := first_to_declare(pipeline, thing)] != expected(thing)}
    assert wrong == {}


@pytest.mark.parametrize("stage", [*STAGES, "weights"])
def test_other_parameters_of_a_stage_are_valid_and_run_it_first(pipeline, monkeypatch, stage):
    monkeypatch.chdir(pipeline.path)
    file = pipeline.path / "params.yaml"
    original = file.read_text()
    all_others = yaml.safe_load(original)
    for section, name in parameters(pipeline):
        if expected(f"{section}.{name}") != [stage]:
            continue
        document = yaml.safe_load(original)
        value = document[section][name] = another(document[section][name], section, name)
        for needed, tuned in NEEDS.get(f"{section}.{name}", {}).items():
            document[needed.split(".")[0]][needed.split(".")[1]] = tuned
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        load_params(section)  # refuses what is not valid
        all_others[section][name] = value
    assert all_others != yaml.safe_load(original)
    file.write_text(yaml.safe_dump(all_others, sort_keys=False))
    assert first_to_run(pipeline) == stage


@pytest.mark.parametrize("stage", [*STAGES, "weights", "nothing"])
def test_edits_of_all_files_of_a_stage_run_it_first(pipeline, stage):
    for name in files(pipeline):
        if expected(name) == [stage]:
            with open(pipeline.path / name, "a") as file:
                file.write("\n# changed\n")
    assert first_to_run(pipeline) == stage


def test_changed_data_run_first_what_the_table_says(pipeline):
    image = next((pipeline.path / "data").rglob("*.png"))
    image.write_bytes(image.read_bytes() + b"changed")
    assert [first_to_run(pipeline)] == expected("data/")


@pytest.mark.parametrize("edit", EDITS)
def test_other_edits_run_what_they_can_affect(pipeline, edit):
    file, old, new, stages = EDITS[edit]
    pipeline.edit(file, old, new)
    assert pipeline.would_run() == stages


def test_touched_files_run_nothing(pipeline):
    for name in files(pipeline):
        os.utime(pipeline.path / name)
    for folder in ("data", "prepared", "models", "plots"):
        for file in (pipeline.path / folder).rglob("*"):
            os.utime(file)
    assert pipeline.would_run() == []


def test_a_missing_parameter_is_named_by_every_stage(pipeline, monkeypatch):
    monkeypatch.chdir(pipeline.path)
    file = pipeline.path / "params.yaml"
    original = file.read_text()
    for section, name in parameters(pipeline):
        document = yaml.safe_load(original)
        del document[section][name]
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        for stage in STAGES:
            with pytest.raises(InputError, match=rf"{section}\.{name}: this key is missing"):
                load_params(stage)
