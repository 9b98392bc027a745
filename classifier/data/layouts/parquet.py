"""Parquet shards as the Hugging Face Hub publishes image datasets: train-*.parquet, test-*.parquet.

The columns and the class names come from the `huggingface` schema metadata that the `datasets`
library writes: an Image feature (struct<bytes, path>) and a ClassLabel feature (int64).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from classifier.data.layouts.base import Dataset, Sample, Split
from classifier.data.layouts.finding import require_whole_set, split_of_shard
from classifier.errors import InputError

_ROWS_AT_ONCE = 256  # bounds memory: a row group may be as large as the file


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
    columns = {shard: _columns(shard) for shard in shards}
    first = files["train"][0]
    image_column, label_column, classes = columns[first]
    for kind, taken in (("Image", image_column), ("ClassLabel", label_column)):
        if len(candidates := _columns_of(first, kind)) > 1:
            print(f"{first} has {len(candidates)} {kind} columns ({', '.join(candidates)}): {taken} is taken")
    for shard, described in columns.items():
        if described != columns[first]:
            missing, extra = set(classes) - set(described[2]), set(described[2]) - set(classes)
            raise InputError(
                f"{shard} and {first} disagree: columns {described[:2]} and {columns[first][:2]}, "
                f"classes missing {sorted(missing)}, extra {sorted(extra)}"
                + (", or in another order." if not missing | extra else ".")
            )
    return Dataset(
        "parquet shards",
        classes,
        {s: _parquet_split(root, files[s], image_column, label_column, len(classes)) for s in files},
    )


def _columns(shard: Path) -> tuple[str, str, list[str]]:
    """The image column, the label column and the class names of a shard, from its schema."""
    images, labels = _columns_of(shard, "Image"), _columns_of(shard, "ClassLabel")
    if not images or not labels:
        raise InputError(
            f"{shard} does not say which columns are the image and the class: it needs the `huggingface` schema "
            "metadata with an Image and a ClassLabel feature, as `datasets` and scripts/pack.py write it."
        )
    # CIFAR-100 has a fine and a coarse label: the one called `label` wins, else the first.
    label = "label" if "label" in labels else labels[0]
    return images[0], label, _features(shard)[label]["names"]


def _columns_of(shard: Path, kind: str) -> list[str]:
    return [name for name, feature in _features(shard).items() if _type(feature) == kind]


def _features(shard: Path) -> dict[str, Any]:
    """What the `datasets` library says of each column; empty if it says nothing."""
    metadata = (_parquet_file(shard).schema_arrow.metadata or {}).get(b"huggingface")
    try:
        return json.loads(metadata)["info"]["features"] if metadata else {}
    except (ValueError, KeyError, TypeError):
        return {}


def _type(feature: Any) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _parquet_split(root: Path, shards: list[Path], image: str, label: str, num_classes: int) -> Split:
    def samples() -> Iterator[Sample]:
        for shard in shards:
            name, row = shard.relative_to(root).as_posix(), 0
            for batch in _parquet_file(shard).iter_batches(_ROWS_AT_ONCE, columns=[image, label]):
                for cell, index in zip(batch.column(image).to_pylist(), batch.column(label).to_pylist(), strict=True):
                    if index is None or not 0 <= index < num_classes:
                        raise InputError(f"{shard}, row {row}: label {index} is not one of {num_classes} classes.")
                    data = (cell or {}).get("bytes")
                    if data is None:
                        raise InputError(
                            f"{shard}, row {row}: no image bytes, only the path {(cell or {}).get('path')}."
                        )
                    yield Sample(f"{name}#{row}", index, data)
                    row += 1

    return Split(sum(_parquet_file(shard).metadata.num_rows for shard in shards), samples)


def _parquet_file(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} is not a readable parquet file: {error}") from None
