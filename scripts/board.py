"""Write one HTML file with all experiments: a table, curves, recall per class, and any two of them side by side.

    python scripts/board.py [--out board.html] [--images 400]

Reads what Git and DVC have: the results of every tag, branch, commit and experiment and of the workspace, and from
DVC's cache their curves, answers and prepared images. Nothing is fetched; what is missing is said in the page.
Whoever gets the file opens it in a browser: no account, nothing to install, no network.
"""

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

from classifier.errors import InputError, counted, run
from classifier.files import atomic_write
from classifier.results.predictions import IMAGE, NO_TEST
from classifier.results.significance import ALPHA, BETTER, NO_SPREAD, UNDECIDED
from classifier.runs.history import Record, collect, list_unfinished
from classifier.runs.report import OUTCOMES, PAIRED
from classifier.runs.runs import require_root

from board_page.outputs import SIDE, Outputs, make_answers
from board_page.rows import CLASSES, make_rows, merge_twins
from compare import CAUTION, METHODS
from dvc.repo import Repo
from offline_page.assemble import as_json, assemble, compress

PAGE = Path(__file__).with_name("board_page")
SCRIPTS = ["statistics.js", "elements.js", "rows.js", "table.js", "charts.js", "heat.js", "pair.js", "app.js"]
NO_RUNS = "There are no results yet: `dvc repro` makes the first, and a commit or `dvc exp run` keeps them."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("board.html"), help="the file to write (default: board.html)")
    parser.add_argument("--images", type=int, default=400, help=f"images of {SIDE} pixels, at most (default: 400)")
    arguments = parser.parse_args()
    if not 0 <= arguments.images <= 5000:
        raise InputError(f"--images must be between 0 and 5000, not {arguments.images}.")
    require_root()
    records, notes = collect()
    with Repo() as repo:
        data, answers = describe(records, notes + list_unfinished(), Outputs(repo), arguments.images)
    with atomic_write(arguments.out) as file:
        file.write(fill_page(data, answers).encode())
    size, runs, groups = arguments.out.stat().st_size / 1e6, data["runs"], data["groups"]
    of_seeds = f" in {counted(len(groups), 'group')} that differ in more than seeds" if len(groups) < len(runs) else ""
    print(f"{arguments.out}: {counted(len(runs), 'run')}{of_seeds}, {size:.1f} MB. Open it in a browser.")
    for note in data["notes"] if not runs else []:
        print(f"note: {note}")


def describe(
    records: list[Record], notes: list[str], outputs: Outputs, images: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that is in the page: rows, curves, words; and by themselves the answers and pictures, which are larger."""
    records, groups = merge_twins(records)
    rows = make_rows(records, groups)
    curves, counts = outputs.curves(records), outputs.counts(records)
    data = rows | {
        "made": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "folder": Path.cwd().name,
        "curves": curves,
        "counts": counts,
        "notes": notes if records else [NO_RUNS, *notes],
        "limits": {"classes": CLASSES, "images": images, "alpha": ALPHA, "spread": NO_SPREAD},
        "better": BETTER,
        "words": {
            "methods": METHODS,
            "caution": CAUTION,
            "paired": PAIRED,
            "outcomes": OUTCOMES,
            "undecided": UNDECIDED,
            "image": IMAGE,
            "no_test": NO_TEST,
        },
    }
    return data, make_answers(records, outputs, images)


def fill_page(data: dict[str, Any], answers: dict[str, Any]) -> str:
    """The page. Names and messages may hold anything: they stand in JSON, which becomes text of elements only."""
    packed = compress(json.dumps(answers, ensure_ascii=False).encode())
    return assemble(PAGE, "All experiments", SCRIPTS, data=as_json(data), answers=packed)


if __name__ == "__main__":
    run(main)
