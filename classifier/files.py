"""Files that are either whole or absent."""

import csv
import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from classifier.errors import InputError

UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOTDIR}


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Open `path` for writing bytes; it appears, complete, only when the block ends well.

    The bytes go to a sibling temporary file that is renamed at the end and removed on any error,
    so that a crash or a full disk leaves the previous file as it was.

    Raises:
        InputError: if the disk is full, or the place must not be written to.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        concerned = (None, str(temporary), str(path.parent))
        if isinstance(error, OSError) and error.filename in concerned and error.errno in UNWRITABLE:
            raise InputError(f"{path} cannot be written: {error.strerror}") from None
        raise


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, in the order of its keys."""
    with atomic_write(path) as file:
        file.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_csv(path: str | Path, header: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write rows as CSV with Unix line ends, whatever the platform."""
    with atomic_write(path) as file:
        lines = _EncodedLines(file)
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_table(path: str | Path, table: Any) -> None:
    """Write a pandas DataFrame without its index, as `write_csv` does."""
    with atomic_write(path) as file:
        table.to_csv(file, index=False, lineterminator="\n")


class _EncodedLines:
    """The text-file face that csv.writer wants, over a binary file."""

    def __init__(self, file: BinaryIO):
        self.file = file

    def write(self, text: str) -> None:
        self.file.write(text.encode())


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
