"""Parquet shards as the Hugging Face Hub publishes image datasets: train-*.parquet, test-*.parquet.

The columns and the class names come from the `huggingface` schema metadata that the `datasets`
library writes: an Image feature (struct<bytes, path>) and a ClassLabel feature (int64).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from classifier.data.layouts.base import Dataset, Sample, Split
from classifier.errors import InputError

_SHARD = re.compile(r"(train|validation|valid|val|test)\b")
_ROWS_AT_ONCE = 256  # bounds memory: a row group may be as large as the file


def open_parquet(root: Path, shards: list[Path]) -> Dataset:
    files: dict[str, list[Path]] = {}
    for shard in shards:
        match = _SHARD.match(shard.name)
        if match is None:
            raise InputError(f"{shard}: a shard's name must begin with train, validation, val or test.")
        files.setdefault({"validation": "val", "valid": "val"}.get(match[1], match[1]), []).append(shard)
    if "train" not in files:
        raise InputError(f"{root}/ has parquet shards but no train-*.parquet.")
    columns = {shard: _columns(shard) for shard in shards}
    first = files["train"][0]
    image_column, label_column, classes = columns[first]
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
        {split: _parquet_split(root, files[split], image_column, label_column, len(classes)) for split in files},
    )


def _columns(shard: Path) -> tuple[str, str, list[str]]:
    """The image column, the label column and the class names of a shard, from its schema."""
    schema = _parquet_file(shard).schema_arrow
    metadata = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(metadata)["info"]["features"] if metadata else {}
    except (ValueError, KeyError, TypeError):
        features = {}
    images = [name for name, feature in features.items() if _type(feature) == "Image"]
    labels = [name for name, feature in features.items() if _type(feature) == "ClassLabel"]
    if not images or not labels:
        raise InputError(
            f"{shard} does not say which columns are the image and the class: it needs the `huggingface` schema "
            "metadata with an Image and a ClassLabel feature, as `datasets` and scripts/pack.py write it."
        )
    # CIFAR-100 has a fine and a coarse label: the one called `label` wins, else the first.
    label = "label" if "label" in labels else labels[0]
    return images[0], label, features[label]["names"]


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
