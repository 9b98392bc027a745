"""May this change be merged? Check the files as they are, and compare their results with those it started from.

    python scripts/gate.py [BASE] [--margin 0.01] [--metric val.accuracy] [--report FOLDER]

BASE is a branch, tag or commit (default: origin/main, else main); the commit at which HEAD left it is compared with.
The exit status is 1, and a sentence says why, if
- dvc.lock tells of other code, data or parameters than there are, or of another metrics.json;
- something that dvc.lock names is missing on the default remote, so that nobody else can get it;
- a metric is worse than it was, by more than the margin: choose one that another seed does not exceed. --metric may be
  repeated. The default is one of the validation split, since to merge is a choice, and test is only reported.

Parameters and metrics come from Git, so that nothing need be pulled. Prints a report in Markdown; with --report, also
writes it to FOLDER/report.md, with pictures beside it. What is printed has none, because summaries on GitHub cannot
show files of a run: .github/workflows/gate.yml offers the folder as a download.
"""

import argparse
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from classifier.errors import InputError, nearest, run
from classifier.paths import LOCK, METRICS, PARAMS
from classifier.results.significance import is_better
from classifier.runs.recorded import changed_inputs, missing_on_remote
from classifier.runs.report import describe_changes, describe_metrics, note_missing_tests, write_report
from classifier.runs.runs import WORKSPACE, Run, read_run, require_root

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo

METRIC, MARGIN = "val.accuracy", 0.01
MAIN = ["origin/main", "main"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", nargs="?", metavar="BASE", help=f"what to compare with (default: {MAIN[0]}, else main)")
    parser.add_argument("--margin", type=float, default=MARGIN, help=f"what a metric may lose (default: {MARGIN})")
    parser.add_argument("--metric", action="append", dest="metrics", help=f"one that decides (default: {METRIC})")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="where to write report.md and pictures")
    arguments = parser.parse_args()
    if not 0 <= arguments.margin < float("inf"):
        raise InputError(f"--margin must be 0 or greater, not {arguments.margin}.")
    metrics = arguments.metrics or [METRIC]
    require_root()
    name, commit = find_base([arguments.base] if arguments.base else MAIN)
    change, (base, notes) = read_run(WORKSPACE), read_base(commit)
    try:
        with Repo() as repo, lock_repo(repo):
            findings = [*check_files(repo), *check_metrics(base, change, metrics, arguments.margin)]
            params = repo.params.diff(commit, WORKSPACE).get("diff", {}).get(str(PARAMS), {})
    except DvcException as error:
        raise InputError(f"DVC says: {error}") from None
    reasons = "\n".join(f"- {finding}" for finding in findings)
    parts = [
        f"# Gate failed\n\n{reasons}" if findings else "# Gate passed",
        f"Compared with {name} at {commit}, where HEAD left it.",
        *notes,
        *note_missing_tests([base, change] if base else [change]),
        *describe_metrics(base, change, metrics),
        *describe_changes(base, change, params),
    ]
    print(*parts, sep="\n\n")
    if arguments.report:
        write_report(arguments.report, parts)
    sys.exit(bool(findings))


def find_base(names: list[str]) -> tuple[str, str]:
    """The first of the names that Git knows, and the commit at which HEAD left it."""
    for name in names:
        found = git("merge-base", name, "HEAD")
        if found.returncode == 0:
            return name, git("rev-parse", "--short", found.stdout.strip()).stdout.strip()
        if found.returncode == 1:
            raise InputError(f"{name} and HEAD have no commit in common that Git knows here: fetch the whole history.")
    raise InputError(f"Git knows no {' and no '.join(names)} here: fetch it, or name a branch, tag or commit.")


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], capture_output=True, text=True)


def read_base(commit: str) -> tuple[Run | None, list[str]]:
    """The run to compare with, if there is one, and what the reader should know of it."""
    try:
        base = read_run(commit)
    except InputError as error:
        reason = str(error).split(": run ")[0].rstrip(".")  # nothing need be done there
        return None, [f"No metrics are compared, as is right for a first result: {reason}."]
    stale = f"Beware: metrics.json of {commit} is older than its parameters, or than what it was made from."
    return base, [stale] if base.stale else []


def check_files(repo: Repo) -> Iterator[str]:
    if changed := changed_inputs(repo):
        yield f"{', '.join(changed)} changed since {LOCK} was written: run `dvc repro`, commit {LOCK} and {METRICS}."
    for out in repo.index.outs:
        if not out.use_cache and out.workspace_status():
            yield f"{out.def_path} is not the one that {LOCK} records: `dvc repro` brings that back."
    try:
        if missing := missing_on_remote(repo):
            yield f"Missing on the remote, wholly or in part: {', '.join(missing)}; `dvc push` puts it there."
    except InputError as error:
        yield str(error)


def check_metrics(base: Run | None, change: Run, metrics: list[str], margin: float) -> Iterator[str]:
    for name in metrics:
        if name not in change.metrics and name.startswith("test.") and change.split == "val":
            yield f"{name} is to decide, but nothing was held back for a test: decide by a metric of val."
            continue
        if name not in change.metrics:
            usable = [known for known in change.metrics if is_better(known, "higher") is not None]
            raise InputError(f"metrics.json has no number {name!r}, {nearest(name, usable)}")
        if (rising_is_good := is_better(name, "higher")) is None:
            raise InputError(f"Nobody knows whether {name} should rise or fall: choose other metrics.")
        if base and name not in base.metrics:
            yield f"{name} is to decide, but {base.rev} has no such metric to compare with."
        elif base:
            old, new = base.metrics[name], change.metrics[name]
            loss = round(old - new if rising_is_good else new - old, 6)
            if not loss <= margin:  # nor is NaN good enough
                verb = "fell" if rising_is_good else "rose"
                yield (
                    f"{name} {verb} by {loss:.4f}, from {old:.4f} to {new:.4f}: more than the margin of {margin:g}. "
                    "Try something else, or, where other seeds move it as much (scripts/compare.py), widen --margin."
                )


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it, without a traceback
    run(main)
