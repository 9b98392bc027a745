"""Groups of runs that differ only in seeds."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, product
from string import ascii_uppercase
from typing import Any

from classifier.runs.runs import Run

import pandas as pd


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


def group_runs(runs: list[Run]) -> tuple[list[Group], list[str]]:
    """Put runs with equal parameters (seeds apart), data and code together, in the order of the first of each.

    Returns:
        the groups, and a sentence for each run that is left out because another has its seeds as well.
    """
    groups: list[Group] = []
    notes: list[str] = []
    names = ("".join(letters) for length in count(1) for letters in product(ascii_uppercase, repeat=length))
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


def changed_files(reference: Run, run: Run) -> list[str]:
    """The dataset, if it is another one, and the files of code that are."""
    return [path for path in {**reference.files, **run.files} if reference.files.get(path) != run.files.get(path)]


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
