"""Runs as Git and DVC keep them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from classifier.errors import InputError, one_line
from classifier.paths import LOCK, METRICS, PARAMS, PIPELINE, PREDICTIONS
from classifier.results.predictions import parse_predictions
from classifier.runs import yaml12
from classifier.runs.recorded import Lock, parse_lock

import pandas as pd
from dvc.api import DVCFileSystem, exp_show
from dvc.exceptions import DvcException
from dvc.scm import RevError

WORKSPACE = "workspace"  # DVC's name for the files as they are, committed or not


@dataclass(frozen=True)
class Run:
    """What a revision says of its run."""

    rev: str
    params: dict[str, dict[str, Any]]  # sections of params.yaml, without seeds
    files: dict[str, str]  # MD5 of the dataset and of each file of code
    seeds: dict[str, int]  # by name: "train.seed"
    metrics: dict[str, float]  # by name: "val.recall.cat"
    stale: bool  # the metrics are older than params.yaml, or than what an earlier stage made
    outs: dict[str, str] = field(default_factory=dict)  # MD5 of what the stages made

    @property
    def split(self) -> str:
        """The split that its results are of: test, or val where nothing was held back for a test."""
        return "test" if any(name.startswith("test.") for name in self.metrics) else "val"

    @property
    def seed(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in sorted(self.seeds.items()))


def require_root() -> None:
    """Refuse to work elsewhere than in the repository root, from where DVC sees all files.

    Raises:
        InputError: if the current folder is another one.
    """
    if not PIPELINE.is_file():
        raise InputError(f"{PIPELINE} not found: run from the repository root.")


def list_revisions() -> list[str]:
    """HEAD, the finished experiments based on it in the order they were made, and the workspace."""
    try:
        rows = exp_show()
    except DvcException as error:
        raise InputError(f"DVC cannot list experiments: {error}") from None
    rows = [row for row in rows if row["Experiment"] and row["State"] in (None, "Success")]
    return ["HEAD", *(row["Experiment"] for row in reversed(rows)), WORKSPACE]


def read_run(rev: str) -> Run:
    """Read what Git keeps of a run: params.yaml, metrics.json and dvc.lock.

    dvc.api's metrics_show and params_show do the same, but fail where the workspace has no metrics.json.

    Raises:
        InputError: if there is no such revision, or it has no results.
    """
    files = _files(rev)
    return parse_run(rev, lambda path: files.read_bytes(str(path)))


def parse_run(rev: str, read: Callable[[Path], bytes]) -> Run:
    """The run of which `read` gives the files by their paths, FileNotFoundError where there is none.

    Raises:
        InputError: if there are no results, or one of the files cannot be read.
    """
    params, metrics = _load(read, rev, PARAMS), _load(read, rev, METRICS)
    stages = _load_lock(read, rev).values()
    recorded = chain.from_iterable(stage.params.items() for stage in stages)
    deps = [dep for stage in stages for dep in stage.deps.items()]
    made = {path: md5 for stage in stages for path, md5 in stage.outs.items()}
    half_run = any(made.get(path, md5) != md5 for path, md5 in deps)
    if not all(isinstance(section, dict) for section in params.values()):
        raise InputError(f"{PARAMS} of {rev} does not consist of sections, one for each stage.")
    numbers = pd.json_normalize(metrics).select_dtypes("number")
    if numbers.empty:
        raise InputError(f"{METRICS} of {rev} holds no numbers: run `dvc repro` there.")
    return Run(
        rev=rev,
        params={name: {k: v for k, v in section.items() if k != "seed"} for name, section in params.items()},
        files={path: md5 for path, md5 in deps if path not in made},
        seeds={f"{name}.seed": section["seed"] for name, section in params.items() if "seed" in section},
        metrics=numbers.iloc[0].astype(float).to_dict(),
        stale=half_run or any(_look_up(params, name) != value for name, value in recorded),
        outs=made,
    )


def read_file(rev: str, path: Path) -> bytes:
    """A file of a revision, from the workspace or Git, from DVC's cache or remote.

    Raises:
        InputError: if it is in none of them.
    """
    try:
        return _files(rev).read_bytes(str(path))
    except Exception as error:  # a remote fails in whatever way its library likes
        raise InputError(f"{path} of {rev} is neither in DVC's cache nor in a remote ({error}).") from None


def read_predictions(rev: str) -> pd.DataFrame:
    """predictions.csv of a revision.

    Raises:
        InputError: if it is nowhere, or another table.
    """
    return parse_predictions(read_file(rev, PREDICTIONS), f"{PREDICTIONS} of {rev}")


def _look_up(params: dict[str, Any], name: str) -> Any:
    """A section of params.yaml, or one value of it by the dotted name that dvc.lock has for it: train.model."""
    found: Any = params
    for key in name.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _files(rev: str) -> DVCFileSystem:
    return DVCFileSystem(rev=None if rev == WORKSPACE else rev)


def _load_lock(read: Callable[[Path], bytes], rev: str) -> Lock:
    """What dvc.lock of a revision says, nothing if there is none."""
    try:
        return parse_lock(read(LOCK), f"{LOCK} of {rev}")
    except FileNotFoundError:
        return {}


def _load(read: Callable[[Path], bytes], rev: str, path: Path) -> dict[str, Any]:
    """A JSON or YAML file of a revision, which must hold a mapping."""
    try:
        content = read(path)
        document = json.loads(content) if path.suffix == ".json" else yaml12.load(content)
    except RevError:
        raise InputError(
            f"{rev!r} is no revision: Git knows no such commit, branch or tag, DVC no such experiment."
        ) from None
    except FileNotFoundError:
        raise InputError(f"{rev} has no {path}: run `dvc repro` there and commit its results.") from None
    except Exception as error:  # DVC's, or whatever a reader of JSON or YAML raises for what is neither
        raise InputError(f"{path} of {rev} cannot be read: {one_line(error)}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path} of {rev} does not hold a mapping.")
    return document
