"""Files that are either whole or absent."""

import csv
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from classifier.errors import InputError

UNWRITABLE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO,
    errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG,
}  # fmt: skip
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def odd_kind(path: str | Path) -> str | None:
    """What a path is that is neither a file nor a folder, such as "a pipe"; None if it is one of them.

    Raises:
        OSError: if that cannot be known.
    """
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return "a link to nothing"
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link that leads in a circle"
        raise
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else KINDS.get(stat.S_IFMT(mode), "of an odd kind")


def open_file(path: str | Path) -> BinaryIO:
    """Open a file to read bytes. A pipe, which would be waited for, and a device, which may never end, are refused.

    Raises:
        FileNotFoundError: if there is nothing of this name, and only then.
        InputError: if it is no file, or cannot be read.
    """
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            raise InputError(f"{path} is {KINDS.get(stat.S_IFMT(mode), 'of an odd kind')}, and must be a file.")
        return open(path, "rb")
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def read_file(path: str | Path, most: int) -> bytes:
    """The bytes of a file, of which there may be `most`; errors are those of `open_file`, and InputError for more."""
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise InputError(f"{path} is larger than {most:,} bytes.")
        return file.read()


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
