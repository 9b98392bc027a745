"""What several weights of one class give: trainings over seeds as DVC experiments, in a table and a picture."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from classifier.errors import InputError
from classifier.files import atomic_write
from classifier.paths import PARAMS
from classifier.results.significance import mean_interval
from classifier.runs.report import to_table
from classifier.runs.runs import WORKSPACE, Run, list_revisions, read_run

import matplotlib

matplotlib.use("agg")
import pandas as pd
from dvc.api import exp_show
from matplotlib import pyplot as plt

WEIGHTS = (1.0, 1.5, 2.0, 3.0, 5.0)
PICTURE = Path("class-weights.png")
Trial = tuple[float, int]  # weight, train.seed
CHOSEN, OTHER = "#0b5394", "#999999"  # on the frontier, and what another weight beats


def missing_trials(name: str, seeds: int) -> list[Trial]:
    """The weights and seeds of which there is neither a result nor an experiment in the queue.

    Raises:
        InputError: if there are no results to begin with.
    """
    base = read_run(WORKSPACE)
    waiting = [read_run(row["rev"]) for row in exp_show() if row["State"] in ("Queued", "Running")]
    runs = comparable_runs(name) + [run for run in waiting if _but_for(run, name) == _but_for(base, name)]
    known = {trial_of(run, name) for run in runs}
    return [(weight, seed) for seed in range(seeds) for weight in WEIGHTS if (weight, seed) not in known]


def queue(trials: list[Trial], set_trial: Callable[[Trial], None]) -> None:
    """Queue an experiment for each trial; `set_trial` writes it into params.yaml, which is put back at the end.

    Raises:
        InputError: if DVC refuses.
    """
    before = PARAMS.read_bytes()
    try:
        for trial in trials:
            set_trial(trial)
            command = [sys.executable, "-m", "dvc", "exp", "run", "--queue", "--quiet"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise InputError(f"`dvc exp run --queue` says: {' '.join(done.stderr.split())}")
    finally:
        with atomic_write(PARAMS) as file:
            file.write(before)


def comparable_runs(name: str) -> list[Run]:
    """The finished runs that differ from the workspace in nothing but seeds and the weight of the class."""
    base = read_run(WORKSPACE)
    runs = [base]
    for rev in list_revisions():
        try:
            runs.append(read_run(rev))
        except InputError:
            continue  # a failed experiment has no results
    return [r for r in runs if not r.stale and _but_for(r, name) == _but_for(base, name) and r.files == base.files]


def trial_of(run: Run, name: str) -> Trial:
    """The weight of the class in a run, and its seed."""
    return float(_weights(run).get(name, 1.0)), run.seeds["train.seed"]


def frontier(name: str) -> pd.DataFrame:
    """A row for each weight that was tried, and the columns seeds, accuracy, worst_recall, recall, their intervals.

    Columns X_low and X_high are NaN for a single seed. `best` says that no other weight beats it: is no worse in
    accuracy and recall of the worst class, and better in one. All are means on the validation split.
    """
    metrics = {"accuracy": "val.accuracy", "worst_recall": "val.worst_recall", "recall": f"val.recall.{name}"}
    by_trial = {trial_of(run, name): run.metrics for run in comparable_runs(name)}
    runs = pd.DataFrame(
        {trial: {short: found[long] for short, long in metrics.items()} for trial, found in by_trial.items()}
    ).T
    rows: dict[float, dict[str, Any]] = {}
    for weight, sample in runs.groupby(level=0):
        table = mean_interval(sample)
        rows[weight] = {"seeds": len(sample)}
        for metric in metrics:
            rows[weight] |= dict(zip((metric, f"{metric}_low", f"{metric}_high"), table.loc[metric], strict=True))
    table = pd.DataFrame(rows).T
    both = ["accuracy", "worst_recall"]
    beaten = [
        ((table[both] >= row[both]).all(axis=1) & (table[both] > row[both]).any(axis=1)).any()
        for _, row in table.iterrows()
    ]
    return table.assign(best=[not one for one in beaten])


def describe_frontier(table: pd.DataFrame, name: str) -> str:
    """The table for people."""

    def cell(row: pd.Series, metric: str) -> str:
        spread = row[metric] - row[f"{metric}_low"]
        return f"{row[metric]:.1%}" + ("" if pd.isna(spread) else f" ± {spread:.1%}")

    columns = ["recall", "worst_recall", "accuracy"]
    rows = [
        [
            f"{weight:g}",
            f"{row['seeds']:.0f}",
            *(cell(row, c) for c in columns),
            "" if row["best"] else "another beats it",
        ]
        for weight, row in table.iterrows()
    ]
    header = ["weight", "seeds", f"recall of {name}", "recall of the worst class", "accuracy", ""]
    return to_table(header, rows)


def draw_frontier(table: pd.DataFrame, name: str) -> bytes:
    """A PNG: recall of the worst class against accuracy, a point with 95 % intervals for each weight."""
    figure, axis = plt.subplots(figsize=(7, 5), dpi=100, layout="constrained")
    best = table[table["best"]].sort_values("accuracy")
    axis.plot(best["accuracy"], best["worst_recall"], color=CHOSEN, linewidth=1, zorder=1)
    for weight, row in table.iterrows():
        x, y = row["accuracy"], row["worst_recall"]
        spread = [[[value - row[f"{m}_low"]], [row[f"{m}_high"] - value]] for m, value in
                  (("accuracy", x), ("worst_recall", y))]  # fmt: skip
        colour = CHOSEN if row["best"] else OTHER
        axis.errorbar(x, y, xerr=spread[0], yerr=spread[1], fmt="o", color=colour, elinewidth=0.6, capsize=2)
        axis.annotate(f"weight {weight:g}", (x, y), (6, 6), textcoords="offset points", color=colour, fontsize=11)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.set(xlabel="accuracy", ylabel="recall of the worst class")
    seeds = " to ".join(f"{n:.0f}" for n in sorted({table["seeds"].min(), table["seeds"].max()}))
    axis.set_title(f"Weights of {name}: validation split, means of {seeds} seeds, 95 % intervals", loc="left")
    axis.grid(alpha=0.3)
    file = io.BytesIO()
    figure.savefig(file, metadata={"Software": None})
    plt.close(figure)
    return file.getvalue()


def _but_for(run: Run, name: str) -> dict[str, Any]:
    """The parameters of a run without the weight of the class."""
    weights = {key: value for key, value in _weights(run).items() if key != name}
    return run.params | {"train": run.params["train"] | {"class_weights": weights}}


def _weights(run: Run) -> dict[str, Any]:
    """The class weights of a run; YAML reads the class `7` as a number."""
    weights = run.params["train"]["class_weights"]
    return {str(k): v for k, v in weights.items()} if isinstance(weights, dict) else {"": weights}
