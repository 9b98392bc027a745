"""Runs as rows: which parameters differ, which runs are one group, and how sure their numbers are."""

import json
import math
from typing import Any

from classifier.results.order import reading_order
from classifier.results.significance import mean_interval
from classifier.runs.groups import Group, changed_files, group_runs
from classifier.runs.history import Record
from classifier.runs.runs import Run

import pandas as pd

CLASSES = 40  # whose recall is in the page: of more, those that are recognised least
RECALL = ".recall."
FEWEST = 3  # seeds for a t-interval; that of two is too wide to tell anything, so their range is shown
OTHER_MACHINE = "the seeds, parameters, data and code of {}, but other metrics (another kind of machine?): not counted."


def make_rows(records: list[Record], groups: list[Group]) -> dict[str, Any]:
    """What the page's tables and charts show of all runs. Values that all runs share are there once."""
    runs = [record.run for record in records]
    values = [flatten(run.params) for run in runs]
    names = without_empty(in_order(values), values)
    differ = [name for name in names if len({json.dumps(each.get(name)) for each in values}) > 1]
    metrics = choose_metrics(runs)
    files = in_order([run.files for run in runs])
    versions: dict[str, list[str]] = {path: [] for path in files}
    place = {id(run): i for i, run in enumerate(runs)}
    counted = {id(run) for group in groups for run in group.runs}
    return {
        "params": differ,
        "common": {name: values[0].get(name) for name in names if name not in differ},
        "metrics": metrics,
        "files": files,
        "groups": [
            {
                "name": group.name,
                "changes": group.changes,
                "runs": [place[id(run)] for run in group.runs],
                "estimates": estimate(group, metrics),
            }
            for group in groups
        ],
        "runs": [
            {
                "name": record.run.rev,
                "names": record.names,
                "experiment": record.experiment,
                "commit": record.commit.sha[:7],
                "time": record.commit.time,
                "message": record.commit.message,
                "seed": record.run.seed,
                "params": [each.get(name) for name in differ],
                "metrics": [finite(record.run.metrics.get(name)) for name in metrics],
                "files": [number(versions[path], record.run.files.get(path)) for path in files],
                "changed": changed_files(runs[0], record.run),
                "split": record.run.split,
                "note": "" if id(record.run) in counted else twin_note(record.run, groups),
            }
            for record, each in zip(records, values, strict=True)
        ],
    }


def merge_twins(records: list[Record]) -> tuple[list[Record], list[Group]]:
    """The records without those that hold the same run as another one, whose names go to that one; and the groups."""
    groups, _ = group_runs([record.run for record in records])
    counted = {id(run) for group in groups for run in group.runs}
    kept = {id(record.run): record for record in records}
    for record in records:
        if id(record.run) in counted:
            continue
        twin = find_twin(record.run, groups)
        if twin.metrics == record.run.metrics:
            first = kept[id(twin)]
            names = [*first.names, *(name for name in record.names or [record.run.rev] if name not in first.names)]
            kept[id(twin)] = Record(first.run, first.commit, names, first.experiment and record.experiment)
            del kept[id(record.run)]
    return list(kept.values()), groups


def find_twin(run: Run, groups: list[Group]) -> Run:
    """The run with the same parameters, seeds, data and code that is counted instead of `run`."""
    group = next(g for g in groups if (g.runs[0].params, g.runs[0].files) == (run.params, run.files))
    return next(other for other in group.runs if other.seeds == run.seeds)


def twin_note(run: Run, groups: list[Group]) -> str:
    return f"{run.rev} has {OTHER_MACHINE.format(find_twin(run, groups).rev)}"


def flatten(section: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """train.class_weights.cat: 2.0 for each value in the sections."""
    flat: dict[str, Any] = {}
    for key, value in section.items():
        flat |= (
            flatten(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": plain(value)}
        )
    return flat


def plain(value: Any) -> int | float | str:
    """A number or a text; all else as text, since JSON has no NaN and no dates."""
    if isinstance(value, str) or (is_number(value) and math.isfinite(value)):
        return value
    return json.dumps(value, default=str, ensure_ascii=False)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def without_empty(names: list[str], values: list[dict[str, Any]]) -> list[str]:
    """Without `class_weights`, which is {} or absent, where some runs have a `class_weights.cat`, which says it all."""
    told = {name.rpartition(".")[0] for name in names}
    return [name for name in names if name not in told or {each.get(name, "{}") for each in values} != {"{}"}]


def in_order(mappings: list[dict[str, Any]]) -> list[str]:
    """All keys, each where it first stands."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def number(known: list[str], value: str | None) -> int:
    """A small number for a digest, the same for equal ones; -1 for none."""
    if value is None:
        return -1
    if value not in known:
        known.append(value)
    return known.index(value)


def choose_metrics(runs: list[Run]) -> list[str]:
    """The names of the metrics in the page, classes in reading order and those with the lowest recall of many."""
    table = pd.DataFrame([run.metrics for run in runs])
    names = [name for name in table if RECALL not in name]
    recalls = [name for name in table if RECALL in name]
    if not recalls:
        return names
    class_of = [name.split(RECALL, 1)[1] for name in recalls]
    classes = list(dict.fromkeys(class_of))
    shown = set(table[recalls].mean().groupby(class_of, sort=False).mean().nsmallest(CLASSES).index)
    for split in dict.fromkeys(name.split(".")[0] for name in recalls):
        own = [c for c in (classes[i] for i in reading_order(classes)) if f"{split}{RECALL}{c}" in table]
        names += [f"{split}{RECALL}{name}" for name in own if name in shown]
    return names


def estimate(group: Group, metrics: list[str]) -> list[list[float | None] | None]:
    """Mean, low and high of each metric over the seeds of a group; nothing for a run by itself.

    low and high are a 95 % t-interval, or the range of two seeds; None where all are equal.
    """
    if len(group.runs) < 2:
        return []
    sample = group.sample
    if len(group.runs) < FEWEST:
        table = pd.DataFrame({"mean": sample.mean(), "low": sample.min(), "high": sample.max()})
    else:
        table = mean_interval(sample)
    rows = table.round(5).astype(object).where(table.notna(), None)
    return [rows.loc[name].tolist() if name in rows.index else None for name in metrics]
