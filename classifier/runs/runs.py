"""Runs as Git and DVC keep them, and groups of runs that differ only in seeds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from classifier.errors import InputError, one_line
from classifier.paths import LOCK, METRICS, PARAMS, PIPELINE, PREDICTIONS
from classifier.results.predictions import parse_predictions
from classifier.runs.recorded import Lock, parse_lock

import pandas as pd
from dvc.api import DVCFileSystem, exp_show
from dvc.exceptions import DvcException
from dvc.scm import RevError
from ruamel.yaml import YAML

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

    @property
    def split(self) -> str:
        """The split that its results are of: test, or val where nothing was held back for a test."""
        return "test" if any(name.startswith("test.") for name in self.metrics) else "val"

    @property
    def seed(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in sorted(self.seeds.items()))


@dataclass(frozen=True)
class Group:
    """Runs that differ only in seeds."""

    name: str
    changes: list[str]  # how it differs from the first group
    runs: list[Run]

    @property
    def sample(self) -> pd.DataFrame:
        """A row per run, named by its seeds, and a column for each metric that all of them have."""
        return pd.DataFrame([run.metrics for run in self.runs], [run.seed for run in self.runs]).dropna(axis=1)


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
    params, metrics = _load(files, rev, PARAMS), _load(files, rev, METRICS)
    stages = _load_lock(files, rev).values()
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


def changed_files(reference: Run, run: Run) -> list[str]:
    """The dataset, if it is another one, and the files of code that are."""
    return [path for path in {**reference.files, **run.files} if reference.files.get(path) != run.files.get(path)]


def group_runs(runs: list[Run]) -> tuple[list[Group], list[str]]:
    """Put runs with equal parameters (seeds apart), data and code together, in the order of the first of each.

    Returns:
        the groups, and a sentence for each run that is left out because another has its seeds as well.
    """
    groups: list[Group] = []
    notes: list[str] = []
    names = chain(ascii_uppercase, map("".join, product(ascii_uppercase, repeat=2)))
    for run in runs:
        group = next((g for g in groups if (g.runs[0].params, g.runs[0].files) == (run.params, run.files)), None)
        if group is None:
            groups.append(Group(next(names), list(_differences(runs[0], run)), [run]))
            continue
        twin = next((other for other in group.runs if other.seeds == run.seeds), None)
        if twin is None:
            group.runs.append(run)
        elif twin.metrics == run.metrics:
            notes.append(f"{run.rev} is the same run as {twin.rev}: counted once.")
        else:
            notes.append(
                f"{run.rev} has the parameters, seeds, data and code of {twin.rev}, but other metrics (from another "
                f"kind of machine?): only {twin.rev} is counted."
            )
    return groups, notes


def _look_up(params: dict[str, Any], name: str) -> Any:
    """A section of params.yaml, or one value of it by the dotted name that dvc.lock has for it: train.model."""
    found: Any = params
    for key in name.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _files(rev: str) -> DVCFileSystem:
    return DVCFileSystem(rev=None if rev == WORKSPACE else rev)


def _load_lock(files: DVCFileSystem, rev: str) -> Lock:
    """What dvc.lock of a revision says, nothing if there is none."""
    try:
        return parse_lock(files.read_bytes(str(LOCK)), f"{LOCK} of {rev}")
    except FileNotFoundError:
        return {}


def _load(files: DVCFileSystem, rev: str, path: Path) -> dict[str, Any]:
    """A JSON or YAML file of a revision, which must hold a mapping."""
    try:
        text = files.read_text(str(path), encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else YAML(typ="safe").load(text)
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


def _differences(reference: Run, run: Run) -> Iterator[str]:
    """How `run` differs from `reference`: train.class_weights.cat=2.0, train.py changed."""
    yield from _changes(reference.params, run.params)
    yield from (f"{path} changed" for path in changed_files(reference, run))


def _changes(old: Any, new: Any, key: str = "") -> Iterator[str]:
    if not isinstance(new, dict) or not new:
        yield f"{key}={new}"
        return
    prefix, old = key and f"{key}.", old if isinstance(old, dict) else {}
    yield from (f"no {prefix}{name}" for name in old if name not in new)
    for name, value in new.items():
        if name not in old or old[name] != value:
            yield from _changes(old.get(name), value, f"{prefix}{name}")
