"""Rows of a file that are read when they are asked for, and compared with their digest the first time.

A split may be larger than memory, and a start need not wait until all of it is hashed. So its images have a digest for
each block of rows; a row that is read has its whole block checked before, once in the life of the process.
"""

import hashlib
import mmap
from pathlib import Path

from classifier.errors import InputError

import numpy as np

BLOCK = 4 << 20  # bytes that a digest is of, about: the first row that is read costs that much


def rows_per_block(row_bytes: int) -> int:
    """How many rows of that size a digest is of."""
    return max(1, BLOCK // row_bytes)


class Rows:
    """Images of a file, uint8 [N, 3, H, W], mapped: nothing of them is in memory but what is being read.

    To be indexed as an array is along its first axis, by a number, a slice or an array of numbers from 0; the result is
    a copy in memory.

    Args:
        path, offset, shape: where they lie.
        digests: SHA-256 of each block, in hexadecimal; without them nothing is checked.
    """

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...], digests: list[str] | None = None):
        self.path, self.shape = path, shape
        self._mapped = np.memmap(path, np.uint8, "r", offset, shape)
        self._row_bytes = int(np.prod(shape[1:]))
        self._per_block = rows_per_block(self._row_bytes)
        self._digests = digests
        self._sound = np.zeros(-(-len(self) // self._per_block), dtype=bool)
        self._start = offset % mmap.ALLOCATIONGRANULARITY  # of the first row, in the mapping

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        return len(self) * self._row_bytes

    def __getitem__(self, key: int | slice | np.ndarray) -> np.ndarray:
        """Copies of rows, checked.

        Raises:
            InputError: if they are not what was written.
        """
        if isinstance(key, int | np.integer):
            return self[np.array([range(len(self))[key]])][0]
        rows = np.arange(*key.indices(len(self))) if isinstance(key, slice) else np.asarray(key)
        out = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        self.read(rows, out)
        return out

    def read(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Copy the rows of these numbers to `out`, uint8 [n, 3, H, W], from the file in its own order.

        Raises:
            InputError: if they are not what was written.
        """
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        self._announce(ascending)
        self._check(np.unique(ascending // self._per_block))
        out[order] = self._mapped[ascending]
        # They will not be needed again soon. The system's cache keeps them where there is room.
        self._mapped._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]

    def _announce(self, ascending: np.ndarray) -> None:
        """Let the system fetch rows at the same time, of which each would else be waited for in turn."""
        for run in np.split(ascending, np.flatnonzero(np.diff(ascending) > 1) + 1):
            if len(run):
                first, end = (self._start + int(row) * self._row_bytes for row in (run[0], run[-1] + 1))
                page = first - first % mmap.PAGESIZE
                self._mapped._mmap.madvise(mmap.MADV_WILLNEED, page, end - page)  # type: ignore[attr-defined]

    def _check(self, blocks: np.ndarray) -> None:
        if self._digests is None:
            return
        for block in blocks[~self._sound[blocks]]:
            content = self._mapped[block * self._per_block : (block + 1) * self._per_block].reshape(-1)
            if hashlib.sha256(content.data).hexdigest() != self._digests[block]:
                raise InputError(
                    f"{self.path} is not the file that was prepared: images {block * self._per_block} to "
                    f"{min((block + 1) * self._per_block, len(self)) - 1} have changed. Run `dvc repro -f prepare`."
                )
            self._sound[block] = True
