"""Parquet shards as the Hugging Face Hub publishes image datasets: train-*.parquet, test-*.parquet."""

from collections.abc import Iterator
from pathlib import Path

from classifier.data.layouts.base import Dataset, Sample, Split
from classifier.data.layouts.finding import require_whole_set, split_of_shard
from classifier.data.layouts.shard import Columns, columns_of, count_rows, read_columns, read_rows
from classifier.data.names import look_alike
from classifier.errors import InputError


def open_parquet(root: Path, shards: list[Path]) -> Dataset:
    files: dict[str, list[Path]] = {}
    configurations: dict[str, Path] = {}
    for shard in shards:
        split, configuration = split_of_shard(shard, root)
        files.setdefault(split, []).append(shard)
        configurations.setdefault(configuration, shard)
    if len(configurations) > 1:
        raise InputError(
            f"{root}/ holds {len(configurations)} configurations of a dataset, of which one can be meant: keep one "
            f"of {', '.join(str(shard.parent) + '/' for shard in configurations.values())}."
        )
    for split, of_split in files.items():
        require_whole_set(of_split, split)
    if "train" not in files:
        raise InputError(f"{root}/ has parquet shards but no train-*.parquet.")
    columns = {shard: read_columns(shard) for shard in shards}
    first = files["train"][0]
    classes = columns[first].classes
    for kind, taken in (("Image", columns[first].image), ("ClassLabel", columns[first].label)):
        if len(candidates := columns_of(first, kind)) > 1:
            print(f"{first} has {len(candidates)} {kind} columns ({', '.join(candidates)}): {taken} is taken")
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
        {s: _parquet_split(root, files[s], columns[first]) for s in files},
    )


def _parquet_split(root: Path, shards: list[Path], columns: Columns) -> Split:
    def samples() -> Iterator[Sample]:
        for shard in shards:
            yield from read_rows(shard, shard.relative_to(root).as_posix(), columns)

    return Split(sum(map(count_rows, shards)), samples)
