"""Compare runs: what changed, by how much, and which changes are more than chance.

    python scripts/compare.py [REV …] [--json]
    python scripts/compare.py REV REV --class NAME    # one paragraph: what NAME gained, and what the others paid

REV is anything that Git or DVC knows: a tag, branch, commit or experiment, or `workspace`. Without
one, HEAD, the experiments based on it and the workspace are compared. Runs that differ only in seeds
make a group; every group is compared with that of the first REV. Parameters and metrics come from Git
alone; two single runs are also compared by their predictions.csv, from DVC's cache or remote.
"""

import argparse
import json
from textwrap import fill
from typing import Any

from classifier.errors import InputError, nearest, run
from classifier.results.predictions import IMAGE, same_images
from classifier.results.significance import difference, is_better, mean_interval, verdicts
from classifier.results.worst import describe_trade
from classifier.runs.report import compare_predictions, describe_predictions, note_missing_tests, to_table
from classifier.runs.runs import (
    WORKSPACE,
    Group,
    Run,
    group_runs,
    list_revisions,
    read_predictions,
    read_run,
    require_root,
)

import pandas as pd

SPLITS = ["val", "test"]  # choices are made on val, test is reported
SUMMARY = ["accuracy", "macro_recall", "worst_recall", "loss", "ece"]

METHODS = {
    "paired t": "Paired t-test over the {pairs} seeds that both groups have; other runs count in the means only.",
    "Welch's t": "Welch's t-test: fewer than two seeds are the same in both groups.",
    "one run": "A group with one run has no interval: run a few more seeds.",
}
CAUTION = """\
±, […]: 95 % t-intervals. Each is for one metric by itself: about one in twenty misses by chance.
Verdicts allow for the number of metrics compared, so an interval may leave out 0 without one (Benjamini–Hochberg:
at most one in twenty of the differences named is expected to be chance). Choose by val; test is only reported."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revs", nargs="*", metavar="REV", help="the first one's group is what others are compared with")
    parser.add_argument("--json", action="store_true", help="the same numbers as JSON")
    parser.add_argument("--class", dest="name", help="say in a paragraph what became of this class and of the others")
    arguments = parser.parse_args()
    require_root()
    if arguments.name:
        print(fill(tell_trade(arguments.revs, arguments.name), 100))
        return
    runs, notes = read_runs(arguments.revs)
    groups, duplicates = group_runs(runs)
    report = compare_groups(groups, notes + duplicates + note_missing_tests(runs))
    print(json.dumps(report, indent=2, ensure_ascii=False) if arguments.json else to_markdown(report))


def tell_trade(revs: list[str], name: str) -> str:
    """What became of a class between two runs, image by image, and what the other classes paid.

    Raises:
        InputError: if there are not two runs, or their predictions are missing, of other images or without the class.
    """
    if len(revs) != 2:
        raise InputError(f"--class compares two runs, image by image: name two revisions, not {len(revs)}.")
    (before, after), split = map(read_predictions, revs), read_run(revs[0]).split
    if not same_images(before, after):
        raise InputError(f"The predictions of {revs[0]} and {revs[1]} are for different {IMAGE[split]}s.")
    if name not in set(before["label"]):
        raise InputError(f"No {IMAGE[split]} is of class {name!r}, {nearest(name, sorted(set(before['label'])))}")
    return describe_trade(before, after, name, split)


def read_runs(revs: list[str]) -> tuple[list[Run], list[str]]:
    """The runs to compare, and a sentence for each that is left out or not to be trusted."""
    runs, notes = [], []
    for rev in revs or list_revisions():
        try:
            runs.append(read_run(rev))
        except InputError as error:
            if revs:
                raise
            notes.append(f"{error} Left out.")
            continue
        if runs[-1].stale:
            notes.append(f"{rev}: metrics.json is older than params.yaml or what it was made from; run `dvc repro`.")
            if rev == WORKSPACE and not revs:
                runs.pop()
                notes[-1] += " Left out."
    if not runs:
        raise InputError("there is nothing to compare: " + " ".join(notes))
    return runs, notes


def compare_groups(groups: list[Group], notes: list[str]) -> dict[str, Any]:
    """All that is printed, as JSON has it: each group's means, and each group against the first."""
    comparisons = [compare_pair(groups[0], group) for group in groups[1:]]
    return {
        "groups": [
            {
                "group": group.name,
                "changes": group.changes,
                "runs": [{"rev": r.rev, "seeds": r.seeds} for r in group.runs],
                "metrics": to_records(mean_interval(group.sample)),
            }
            for group in groups
        ],
        "comparisons": comparisons,
        "notes": notes,
    }


def compare_pair(reference: Group, group: Group) -> dict[str, Any]:
    compared = difference(reference.sample, group.sample)
    verdict = verdicts(compared)
    table = compared.table.assign(verdict=verdict, better=[is_better(*item) for item in verdict.items()])
    single = len(reference.runs) == len(group.runs) == 1
    return {
        "group": group.name,
        "against": reference.name,
        "method": compared.method,
        "pairs": compared.pairs,
        "metrics": to_records(table),
        "predictions": compare_predictions(reference.runs[0], group.runs[0]) if single else None,
    }


def to_records(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return table.astype(object).where(table.notna(), None).to_dict("index")


def to_markdown(report: dict[str, Any]) -> str:
    groups = {group["group"]: group for group in report["groups"]}
    rows = [
        [name, ", ".join(g["changes"]) or "(the reference)", ", ".join(r["rev"] for r in g["runs"]), list_seeds(g)]
        for name, g in groups.items()
    ]
    parts = [say_first(groups, comparison) for comparison in report["comparisons"] if comparison["predictions"]]
    parts.append(to_table(["group", "differs by", "runs", "seeds"], rows))
    if not report["comparisons"]:
        parts += metric_tables(report["groups"], None)
        parts.append("There is one group only, and nothing to compare it with.")
    for comparison in report["comparisons"]:
        pair = [groups[comparison["against"]], groups[comparison["group"]]]
        parts.append(f"## {comparison['group']} against {comparison['against']}: {', '.join(pair[1]['changes'])}")
        parts.append(METHODS[comparison["method"]].format(**comparison))
        parts += metric_tables(pair, comparison)
    parts.append(CAUTION)
    parts += [f"Note: {note}" for note in report["notes"]]
    return "\n\n".join(parts)


def say_first(groups: dict[str, dict], comparison: dict) -> str:
    """What two single runs can tell, whose other numbers have no intervals: whose answers are better."""
    names = (groups[comparison[side]]["runs"][0]["rev"] for side in ("against", "group"))
    return describe_predictions(comparison["predictions"], *names)


def metric_tables(groups: list[dict], comparison: dict | None) -> list[str]:
    """The summary, the recall of each class and whatever else is in metrics.json, each in a table."""
    names = list(comparison["metrics"] if comparison else groups[0]["metrics"])
    summary = [f"{split}.{name}" for split in SPLITS for name in SUMMARY if f"{split}.{name}" in names]
    recall = [name for split in SPLITS for name in names if name.startswith(f"{split}.recall.")]
    other = [name for name in names if name not in {*summary, *recall}]
    header = ["metric", *(group["group"] for group in groups)]
    if comparison:
        header += [f"{comparison['group']} − {comparison['against']}", "verdict"]

    def row(metric: str) -> list[str]:
        cells = [mean_cell(group["metrics"][metric]) for group in groups]
        return [metric, *cells, *(difference_cells(comparison["metrics"][metric]) if comparison else [])]

    return [to_table(header, [row(metric) for metric in metrics]) for metrics in (summary, recall, other) if metrics]


def mean_cell(m: dict) -> str:
    return f"{m['mean']:.4f}" + ("" if m["low"] is None else f" ± {m['mean'] - m['low']:.4f}")


def difference_cells(m: dict) -> list[str]:
    interval = "" if m["low"] is None else f" [{m['low']:+.4f}, {m['high']:+.4f}]"
    judgement = {True: " (better)", False: " (worse)", None: ""}[m["better"]]
    return [f"{m['difference']:+.4f}{interval}", m["verdict"] + judgement]


def list_seeds(group: dict) -> str:
    """train.seed 0, 1, 2; prepare.seed 0"""
    seeds = pd.DataFrame([run["seeds"] for run in group["runs"]])
    return "; ".join(f"{name} {', '.join(map(str, values.unique()))}" for name, values in seeds.items())


if __name__ == "__main__":
    run(main)
