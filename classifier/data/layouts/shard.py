"""One parquet shard: its columns, types and class names, checked before a row is read, and its rows.

The columns and the class names come from the `huggingface` schema metadata that the `datasets`
library writes: an Image feature (struct<bytes, path>) and a ClassLabel feature (int64).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from classifier.data.layouts.base import Sample
from classifier.errors import InputError, one_line, shown
from classifier.files import open_file

_ROWS_AT_ONCE = 256  # bounds memory: a row group may be as large as the file


class Columns(NamedTuple):
    """What a shard says of itself."""

    image: str
    label: str
    classes: list[str]


def read_columns(shard: Path) -> Columns:
    """The image column, the label column and the class names of a shard, from its schema.

    Raises:
        InputError: if the file is no parquet, does not say so, or its columns are of other types than it says.
    """
    schema, features = _schema(shard)
    images, labels = (_of_kind(features, kind) for kind in ("Image", "ClassLabel"))
    if not images or not labels:
        raise InputError(
            f"{shard} does not say which columns are the image and the class: it needs the `huggingface` schema "
            "metadata with an Image and a ClassLabel feature, as `datasets` and scripts/pack.py write it."
        )
    # CIFAR-100 has a fine and a coarse label: the one called `label` wins, else the first.
    label = "label" if "label" in labels else labels[0]
    classes = features[label].get("names")
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise InputError(f"{shard}: the names of the ClassLabel {shown(label)} are no list of texts: {shown(classes)}.")
    _require_types(shard, schema, images[0], label)
    return Columns(images[0], label, classes)


def columns_of(shard: Path, kind: str) -> list[str]:
    """The columns of a shard that are an Image, or a ClassLabel, as its metadata say."""
    return _of_kind(_schema(shard)[1], kind)


def _schema(shard: Path) -> tuple[Any, dict[str, Any]]:
    """The schema of a shard, and what the `datasets` library says of each column; empty if it says nothing."""
    with _readable(shard):
        schema = _open(shard).schema_arrow
        metadata = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(metadata)["info"]["features"] if metadata else {}
    except (ValueError, KeyError, TypeError, RecursionError):
        features = {}
    return schema, features if isinstance(features, dict) else {}


def _of_kind(features: dict[str, Any], kind: str) -> list[str]:
    return [name for name, feature in features.items() if _type(feature) == kind]


def count_rows(shard: Path) -> int:
    """How many images a shard has, as its footer says."""
    with _readable(shard):
        return _open(shard).metadata.num_rows


def read_rows(shard: Path, name: str, columns: Columns) -> Iterator[Sample]:
    """The images of a shard, in order; they are called `name` and their row.

    Raises:
        InputError: at a row whose label is no class or that has no image, and where the file is damaged.
    """
    with _readable(shard):
        batches = _open(shard).iter_batches(_ROWS_AT_ONCE, columns=[columns.image, columns.label])
        row = 0
        while (batch := next(batches, None)) is not None:
            for cell, label in zip(*(batch.column(c).to_pylist() for c in columns[:2]), strict=True):
                if label is None or not 0 <= label < len(columns.classes):
                    wrong = f"label {label} is not one of {len(columns.classes)} classes"
                    raise InputError(f"{shard}, row {row}: {wrong}.")
                if (cell or {}).get("bytes") is None:
                    path = shown((cell or {}).get("path"))
                    raise InputError(f"{shard}, row {row}: no image bytes, only the path {path}.")
                yield Sample(f"{name}#{row}", label, cell["bytes"])
                row += 1


def _require_types(shard: Path, schema: Any, image: str, label: str) -> None:
    import pyarrow.types as types

    for name in (image, label):
        if (count := len(schema.get_all_field_indices(name))) != 1:
            raise InputError(f"{shard}: its metadata tell of a column {shown(name)}, and it has {count} of this name.")
    kind = schema.field(image).type
    of_bytes = [kind.field(i) for i in range(kind.num_fields)] if types.is_struct(kind) else []
    of_bytes = [field.type for field in of_bytes if field.name == "bytes"]
    if len(of_bytes) != 1 or not (types.is_binary(of_bytes[0]) or types.is_large_binary(of_bytes[0])):
        raise InputError(
            f"{shard}: the column {shown(image)} is {str(kind)[:80]}, and must be struct<bytes: binary, path: string>: "
            "scripts/pack.py writes that from folders of images."
        )
    if not types.is_integer(kind := schema.field(label).type):
        raise InputError(
            f"{shard}: the column {shown(label)} is {str(kind)[:80]}, and must be int64, a class's number."
        )


def _type(feature: Any) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _open(path: Path) -> Any:
    import pyarrow.parquet

    open_file(path).close()  # pyarrow would wait for a pipe
    return pyarrow.parquet.ParquetFile(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say in a sentence what pyarrow finds damaged in the block: the footer, a page, a text."""
    import pyarrow

    try:
        yield
    except (OSError, pyarrow.ArrowException, ValueError, KeyError, MemoryError) as error:
        raise InputError(f"{path} is not a readable parquet file: {one_line(error)}") from None
