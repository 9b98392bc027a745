"""What the page takes from the outputs of runs, from the workspace and DVC's cache: curves, counts, answers, images.

Nothing is fetched: what is in neither is left out, and the page says so. Equal files are read once.
"""

import base64
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from classifier.paths import COLUMNS, DATASET, HISTORY, PREDICTIONS, split_path
from classifier.runs.history import Record
from classifier.runs.runs import WORKSPACE

import numpy as np
import pandas as pd
import pyarrow as pa
from dvc.repo import Repo
from PIL import Image
from pyarrow import csv
from safetensors import SafetensorError, safe_open

POINTS = 40  # of a curve: of more epochs, the first, the last and some evenly between
CURVES = ["val_accuracy", "val_loss", "train_accuracy", "train_loss"]
ANSWERS = 4_000_000  # in the page: with many runs on many images, those of the first runs
SIDE = 64  # pixels of a thumbnail, at most
FIRST = 35  # the character of the first class


@dataclass
class TestSet:
    """Images that some runs answered, and these answers."""

    paths: list[str]
    labels: list[str]
    classes: dict[str, int] = field(default_factory=dict)  # and their numbers
    runs: list[int] = field(default_factory=list)
    answers: list[np.ndarray] = field(default_factory=list)  # int [N], a class for each image

    def numbers(self, names: pa.DictionaryArray) -> np.ndarray:
        """The numbers of classes, int32 [N]."""
        known = [self.classes.setdefault(name, len(self.classes)) for name in names.dictionary.to_pylist()]
        return np.array(known, np.int32)[names.indices.to_numpy()]


class Outputs:
    """Finds and reads what runs have made."""

    def __init__(self, repo: Repo):
        self._place: Callable[[str], str] = repo.cache.local.oid_to_path

    def find(self, record: Record, path: Path) -> Path | None:
        """Where the output `path` of a run lies: in DVC's cache, or, of the workspace's run, at its place."""
        digest = record.run.outs.get(str(path))
        cached = Path(self._place(digest)) if digest else None
        if cached and cached.is_file():
            return cached
        return path if WORKSPACE in record.names and path.is_file() else None

    def curves(self, records: list[Record]) -> list[dict[str, list[float | None]]]:
        """epoch and CURVES of each run, nothing where they are not in the cache."""
        found = (self.find(record, HISTORY) for record in records)
        return [read_curves(path) if path else {} for path in found]

    def counts(self, records: list[Record]) -> dict[str, Any]:
        """How many images val and test have: `of` each run, the place in `datasets`, or -1 where nobody knows."""
        datasets: list[dict[str, Any]] = []
        of = []
        for record in records:
            path = self.find(record, DATASET)
            found = read_counts(path) if path else {}
            if found and found not in datasets:
                datasets.append(found)
            of.append(datasets.index(found) if found else -1)
        return {"datasets": datasets, "of": of}


@lru_cache(None)
def read_curves(path: Path) -> dict[str, list[float | None]]:
    """epoch and CURVES, as far as they are in a history.csv; nothing if it is none."""
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError):
        return {}
    names = [name for name in ["epoch", *CURVES] if name in table and pd.api.types.is_numeric_dtype(table[name])]
    if table.empty or names[:1] != ["epoch"]:
        return {}
    chosen = np.unique(np.linspace(0, len(table) - 1, min(POINTS, len(table))).round().astype(int))
    return {name: [shorten(value) for value in table[name].iloc[chosen]] for name in names}


def shorten(value: float) -> float | None:
    """Four digits are more than a curve shows."""
    return float(f"{value:.4g}") if np.isfinite(value) else None


@lru_cache(None)
def read_counts(path: Path) -> dict[str, Any]:
    """How many images val and test have, and how many of each class, of a dataset.json; nothing if it is none."""
    try:
        splits = json.loads(path.read_bytes())["splits"]
        return {name: {"all": splits[name]["count"], "classes": splits[name]["per_class"]} for name in ("val", "test")}
    except (ValueError, KeyError, TypeError, OSError):
        return {}


def read_answers(path: Path) -> pa.Table | None:
    """The columns path, label and prediction of a predictions.csv; None if it is none."""
    names = list(COLUMNS[1:4])
    options = csv.ConvertOptions(include_columns=names, column_types=dict.fromkeys(names, "string"))
    try:
        table = csv.read_csv(path, convert_options=options)
    except (pa.ArrowException, KeyError, OSError):
        return None
    return table if table.num_rows else None


def collect_answers(records: list[Record], outputs: Outputs) -> tuple[list[TestSet], list[str]]:
    """The answers of all runs by the images they are about, and for each run without any a sentence, else ""."""
    sets: dict[bytes, TestSet] = {}
    missing = []
    for i, record in enumerate(records):
        path = outputs.find(record, PREDICTIONS)
        table = read_answers(path) if path else None
        missing.append("" if table else f"{PREDICTIONS} of {record.run.rev} is not in DVC's cache.")
        if not table:
            continue
        paths, labels = (table.column(name).to_pylist() for name in COLUMNS[1:3])
        digest = hashlib.sha256("\0".join([*paths, *labels]).encode()).digest()
        images = sets.setdefault(digest, TestSet(paths, labels))
        images.runs.append(i)
        images.answers.append(images.numbers(table.column(COLUMNS[3]).combine_chunks().dictionary_encode()))
    return list(sets.values()), missing


def make_answers(records: list[Record], outputs: Outputs, most: int) -> dict[str, Any]:
    """The answers of all runs, and up to `most` small pictures of images.

    Images to which all runs give the same answer differ between no two of them: only the others are listed. Returns
    `sets` and, for each run, `of`: the set's number and the answers, a character each, or a sentence why not.
    """
    sets, missing = collect_answers(records, outputs)
    of: list[Any] = list(missing)
    described: list[dict[str, Any]] = []
    room = ANSWERS
    for images in sets:
        answers = np.stack(images.answers)
        differing = np.flatnonzero((answers != answers[0]).any(0))
        fitting = room // max(1, len(differing))
        room -= min(fitting, len(answers)) * len(differing)
        for row, i in enumerate(images.runs):
            left_out = f"The answers of {records[i].run.rev} are left out, to keep this page small."
            of[i] = [len(described), encode(answers[row, differing])] if row < fitting else left_out
        shown = rank(answers[:, differing])[:most]
        thumbnails = make_thumbnails([records[i] for i in images.runs], outputs, differing[shown])
        most -= len(thumbnails)
        truth = [images.classes.setdefault(images.labels[i], len(images.classes)) for i in differing]
        described.append(
            {
                "images": len(images.paths),
                "classes": list(images.classes),
                "labels": encode(truth),
                "paths": [images.paths[i] for i in differing],
                "thumbnails": dict(zip(shown.tolist(), thumbnails, strict=False)),
                "cached": len(thumbnails) == len(shown),
            }
        )
    return {"sets": described, "of": of}


def rank(answers: np.ndarray) -> np.ndarray:
    """Columns of `answers`, int [runs, images], first those that differ between the most pairs of runs."""
    pairs = [sum(n * n for n in Counter(column.tolist()).values()) for column in answers.T]
    return np.argsort(pairs, kind="stable")


def encode(classes: Iterable[int]) -> str:
    """A character for each class, of up to 50,000."""
    return "".join(chr(FIRST + i) for i in classes)


def make_thumbnails(records: list[Record], outputs: Outputs, rows: np.ndarray) -> list[str]:
    """Small pictures of prepared images, as data URIs: of the first run whose prepared split is in the cache."""
    for record in records:
        path = outputs.find(record, split_path(record.run.split))
        if not path or not len(rows):
            continue
        try:
            with safe_open(path, "numpy") as file:
                images = file.get_slice("images")
                return [thumbnail(images[int(row)]) for row in rows]
        except (SafetensorError, OSError, IndexError):
            continue
    return []


def thumbnail(image: np.ndarray) -> str:
    """A uint8 image [3, H, W] as a data URI, PNG or JPEG, whichever is shorter."""
    picture = Image.fromarray(image.transpose(1, 2, 0))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    files = {}
    for kind in ("png", "jpeg"):
        buffer = io.BytesIO()
        picture.save(buffer, kind, optimize=True, quality=85)
        files[kind] = buffer.getvalue()
    kind = min(files, key=lambda name: len(files[name]))
    return f"data:image/{kind};base64,{base64.b64encode(files[kind]).decode()}"
