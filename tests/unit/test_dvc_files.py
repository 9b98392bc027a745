"""dvc.yaml and data.dvc say what the code does."""

import ast
import hashlib
import json
from pathlib import Path

import train
from classifier.config import STAGES
from classifier.results.metrics import confusion, per_class, reliability
from tests.conftest import ROOT

import numpy as np
import pytest
import yaml
from torchvision import datasets

# Imported by stages, but no dependency: it only tells W&B what they do. tests/faults/test_wandb.py compares the bytes.
EXEMPT = {"classifier/tracking/__init__.py", "classifier/tracking/tracker.py"}
STAGE_SCRIPTS = {
    "prepare": "prepare.py",
    "weights": "scripts/get_weights.py",
    "train": "train.py",
    "evaluate": "evaluate.py",
}
PARAMS = {name: [name] for name in STAGES} | {"weights": ["train.model", "train.pretrained"]}


def stages() -> dict:
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def files_of(module: str, beside: Path) -> set[Path]:
    """The files of the repository that are run when `module` is imported: its own and those of its packages.

    Python looks in `beside`, the folder of the script that runs, first. What it finds there may run what it hides, as
    scripts/classifier.py does: both count.
    """
    found, parts = set(), module.split(".")
    for folder in (beside, ROOT):
        for end in range(1, len(parts) + 1):
            path = folder.joinpath(*parts[:end])
            found |= {p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()}
    return found


def imports(path: Path, beside: Path) -> set[Path]:
    """The files of the repository that a file imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found |= files_of(alias.name, beside)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import, which this test does not follow"
            for alias in node.names:
                found |= files_of(f"{node.module}.{alias.name}", beside)
    return found


def closure(script: Path) -> set[str]:
    """The script and every file of the repository that it imports, directly or not."""
    seen, waiting = set(), {script}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        waiting |= imports(path, script.parent) - seen
    return {path.relative_to(ROOT).as_posix() for path in seen}


def test_every_stage_is_known_here_and_depends_on_its_section_of_params_yaml():
    assert stages().keys() == STAGE_SCRIPTS.keys()
    assert {name: stage["params"] for name, stage in stages().items()} == PARAMS


@pytest.mark.parametrize("stage", STAGE_SCRIPTS)
def test_a_stage_depends_on_exactly_the_code_that_it_imports(stage):
    deps = [dep for dep in stages()[stage]["deps"] if dep.endswith(".py")]
    assert sorted(deps) == sorted(closure(ROOT / STAGE_SCRIPTS[stage]) - EXEMPT)


def test_what_a_stage_reads_of_other_stages_is_an_output_of_theirs():
    outs = {out for stage in stages().values() for out in stage["outs"]}
    read = {dep for stage in stages().values() for dep in stage["deps"] if not dep.endswith(".py")}
    assert read - {"data"} <= outs


def test_data_dvc_names_the_files_that_torchvision_publishes():
    source = datasets.CIFAR10
    published = [*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])]
    listing = sorted(
        ({"md5": md5, "relpath": f"{source.base_folder}/{name}"} for name, md5 in published),
        key=lambda entry: entry["relpath"],
    )
    pinned = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]
    assert pinned["path"] == "data"
    if pinned["nfiles"] != len(listing):
        pytest.skip("data.dvc is that of another dataset: it is the repository's own no more")
    assert pinned["nfiles"] == len(listing)
    digest = hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
    assert pinned["md5"] == f"{digest}.dir"


def test_plots_name_templates_of_the_project_and_columns_that_exist():
    plots = [next(iter(plot.values())) for plot in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"][:-2]]
    answers = np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 1])
    columns = {
        "plots/history.csv": list(train.Epoch._fields),
        "plots/per_class.csv": list(per_class(*answers, ["cat", "dog"])),
        "plots/confusion.csv": list(confusion(*answers, ["cat", "dog"])),
        "plots/reliability.csv": list(reliability(*answers)),
    }
    for plot in plots:
        assert (ROOT / ".dvc" / "plots" / f"{plot['template']}.json").exists()
        ((file, drawn),) = plot["y"].items()
        assert {plot["x"], *([drawn] if isinstance(drawn, str) else drawn)} <= set(columns[file])
