"""Parquet shards as the Hugging Face Hub publishes image datasets: train-*.parquet, test-*.parquet."""

import re
from collections.abc import Iterator
from pathlib import Path

from classifier.data.layouts.base import Dataset, Sample, Split
from classifier.data.layouts.shard import Columns, count_rows, read_columns, read_rows
from classifier.data.names import look_alike
from classifier.errors import InputError

_SHARD = re.compile(r"(train|validation|valid|val|test)\b")


def open_parquet(root: Path, shards: list[Path]) -> Dataset:
    files: dict[str, list[Path]] = {}
    for shard in shards:
        match = _SHARD.match(shard.name)
        if match is None:
            raise InputError(f"{shard}: a shard's name must begin with train, validation, val or test.")
        files.setdefault({"validation": "val", "valid": "val"}.get(match[1], match[1]), []).append(shard)
    if "train" not in files:
        raise InputError(f"{root}/ has parquet shards but no train-*.parquet.")
    columns = {shard: read_columns(shard) for shard in shards}
    first = files["train"][0]
    classes = columns[first].classes
    for shard, described in columns.items():
        if described != columns[first]:
            missing, extra = set(classes) - set(described[2]), set(described[2]) - set(classes)
            raise InputError(
                f"{shard} and {first} disagree: columns {described[:2]} and {columns[first][:2]}, "
                f"classes missing {sorted(missing)}, extra {sorted(extra)}"
                + (", or in another order." if not missing | extra else f".{look_alike(missing, extra)}")
            )
    return Dataset(
        "parquet shards",
        classes,
        {split: _parquet_split(root, files[split], columns[first]) for split in files},
    )


def _parquet_split(root: Path, shards: list[Path], columns: Columns) -> Split:
    def samples() -> Iterator[Sample]:
        for shard in shards:
            yield from read_rows(shard, shard.relative_to(root).as_posix(), columns)

    return Split(sum(map(count_rows, shards)), samples)
