"""Differences between runs in Markdown, which reads well in a terminal and on a page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from classifier.errors import InputError
from classifier.files import atomic_write
from classifier.paths import CROSS_SECTION_PICTURE, MISTAKES_PICTURE
from classifier.results.predictions import IMAGE, NO_TEST, same_images
from classifier.results.significance import is_better, mcnemar
from classifier.runs.groups import changed_files
from classifier.runs.runs import WORKSPACE, Run, read_file, read_predictions

ABSENT = "–"
# What two single runs show; scripts/board_page/ fills these in as well.
OUTCOMES = {"higher": "{other} is right more often", "lower": "{other} is right less often"}
PAIRED = (
    "{verdict}: of {images} {kind}s, {only_reference} are classified correctly by {reference} only and {only_other} by "
    "{other} only (McNemar's exact test: p = {p}). That is about these two models: whether the change or the seed made "
    "the difference, only several seeds can tell."
)
PICTURES = {
    CROSS_SECTION_PICTURE: "What the model says of images that it did not learn from",
    MISTAKES_PICTURE: "Its worst mistakes",
}


def to_table(header: list[str], rows: list[list[str]]) -> str:
    """A table with aligned columns."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)


def note_missing_tests(runs: list[Run]) -> list[str]:
    """A sentence where nothing was held back for a test, in all of the runs or in some of them."""
    without = [run.rev for run in runs if run.split == "val"]
    if 0 < len(without) < len(runs):
        return [
            f"Nothing was held back for a test in {', '.join(without)}: only validation metrics can be compared, and "
            "the validation images may be others, too."
        ]
    return [NO_TEST] if without else []


def describe_metrics(base: Run | None, change: Run, bold: list[str]) -> Iterator[str]:
    """A table of the metrics, and one of the recall of each class."""
    before, now = base.metrics if base else {}, change.metrics
    recall = [name for name in {**now, **before} if ".recall." in name]
    others = [name for name in {**now, **before} if name not in recall]
    for title, names in {"Metrics": others, "Recall of each class": recall}.items():
        rows = [[f"**{name}**" if name in bold else name, *_cells(name, before, now)] for name in names]
        if rows:
            yield f"## {title}"
            yield to_table(["", "before", "now", "difference"], rows)


def _cells(name: str, before: dict[str, float], now: dict[str, float]) -> list[str]:
    """A metric as it was and as it is, and which way it went."""
    cells = [f"{metrics[name]:.4f}" if name in metrics else ABSENT for metrics in (before, now)]
    if ABSENT in cells or before[name] == now[name]:
        return [*cells, ""]
    better = is_better(name, "higher" if now[name] > before[name] else "lower")
    return [*cells, f"{now[name] - before[name]:+.4f}" + {True: " better", False: " worse", None: ""}[better]]


def describe_changes(base: Run | None, change: Run, params: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What the change does to single images, and what it consists of; `params` is what DVC says of them."""
    if base:
        yield describe_predictions(compare_predictions(base, change), "the old model", "the new one")
    yield "## What changed"
    values = {name: [params[name].get(side) for side in ("old", "new")] for name in sorted(params)}
    rows = [[name, *(ABSENT if v is None else str(v) for v in pair)] for name, pair in values.items()]
    yield to_table(["parameter", "before", "now"], rows) if rows else "No parameter."
    if base:
        yield f"Data and code: {', '.join(changed_files(base, change)) or 'nothing'}."


def compare_predictions(reference: Run, other: Run) -> dict[str, Any]:
    """McNemar's test on the predictions.csv of two runs, or why it cannot be done."""
    if reference.split != other.split:
        of = [f"{run.rev} are for {IMAGE[run.split]}s" for run in (reference, other)]
        return {"error": f"The predictions of {of[0]}, those of {of[1]}."}
    try:
        tables = [read_predictions(run.rev) for run in (reference, other)]
    except InputError as error:
        return {"error": str(error)}
    if not same_images(*tables):
        images = f"{IMAGE[reference.split]}s"
        return {"error": f"The predictions of {reference.rev} and {other.rev} are for different {images}."}
    return {"split": reference.split, "images": len(tables[0]), **mcnemar(*tables)}


def describe_predictions(found: dict[str, Any], reference: str, other: str) -> str:
    """What compare_predictions() found, in words that name the two models as the reader knows them."""
    if "error" in found:
        return f"No test on single predictions: {found['error']}"
    verdict = OUTCOMES.get(found["verdict"], found["verdict"]).format(other=other)
    return PAIRED.format_map(
        found
        | {"verdict": verdict[0].upper() + verdict[1:], "kind": IMAGE[found["split"]], "p": f"{found['p']:.2g}"}
        | {"reference": reference, "other": other}
    )


def write_report(folder: Path, parts: list[str]) -> None:
    """Write report.md, and beside it the pictures that it shows, from the workspace, DVC's cache or remote."""
    parts = [*parts, "## Pictures"]
    for path, title in PICTURES.items():
        try:
            picture = read_file(WORKSPACE, path)
        except InputError as error:
            parts.append(str(error))
            continue
        with atomic_write(folder / path.name) as file:
            file.write(picture)
        parts.append(f"{title}:\n\n![{title}]({path.name})")
    with atomic_write(folder / "report.md") as file:
        file.write(("\n\n".join(parts) + "\n").encode())
