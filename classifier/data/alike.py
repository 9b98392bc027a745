"""Which images are the same picture: re-encoded, resized or cut by a hair.

Two images are alike if their thumbnails, 16 × 16 pixels in colour, correlate by 0.99. That is indifferent to size,
format, quality, brightness and contrast. Measured with 3,262 photographs of clothing, many of which show shirts laid
out in one way on one red cloth, and a copy of 200 of them, changed in one way at a time:

    JPEG quality 40, WEBP quality 50, half, quarter or twice the size    found 200 of 200
    brighter by a tenth, or cut by 2 % (1 % at each side)                found 199
    JPEG quality 10                                                      found 190
    cut by 2 % at one corner; by 5 %; mirrored                           found 80; 27; 1

No two different photographs were taken for one; the nearest correlate by 0.9866. Difference hashes that find as many
of the copies cut by 2 % find 259 pairs (128 bits, 8 apart) or 10 (512 bits, 40 apart) among the photographs, of which
one is right. In CIFAR-10 (JPEG), of 32 pixels a side, 32 pairs are alike: each one picture, to the eye.

What differs in a small part alone is taken for one picture: of two things pasted on one place of a photograph, 95 of
100 times where they take a tenth of its longer side, 30 where a fifth. Before a fixed camera, look at the examples.

Almost uniform images have nothing to correlate: they are compared by their bytes alone.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

THUMBNAIL = 16  # pixels a side
ALIKE = 0.99  # correlation
UNIFORM = 2.0  # standard deviation of a thumbnail, in levels of 255, below which only noise would be compared
BLOCK = 128  # bounds memory where all images are alike


def first_alike(thumbnails: np.ndarray) -> np.ndarray:
    """For each image the index of the first one that it is alike to, directly or through others; else its own.

    Args:
        thumbnails: uint8 [N, 3, THUMBNAIL, THUMBNAIL].

    Returns:
        int [N].
    """
    number = len(thumbnails)
    first = np.arange(number)
    halves = thumbnails.reshape(number, 3, THUMBNAIL // 2, 2, THUMBNAIL // 2, 2)
    # What is alike is nearly always so at half of the side, too: that sorts nearly all pairs out, for a quarter of the
    # work. Missed are pairs that are alike in fine patterns alone, which half of the side does not show.
    coarse = _standardise(halves.mean(axis=(3, 5), dtype=np.float32))
    for start in range(0, number, BLOCK):
        close = coarse[start : start + BLOCK] @ coarse[start:].T >= ALIKE
        close[np.arange(len(close)), np.arange(len(close))] = False
        rows, columns = (start + np.flatnonzero(close.any(axis=axis)) for axis in (1, 0))
        if len(rows):
            alike = _standardise(thumbnails[rows]) @ _standardise(thumbnails[columns]).T >= ALIKE
            i, j = alike.nonzero()
            first = _joined(first, rows[i], columns[j])
    return first


def _standardise(images: np.ndarray) -> np.ndarray:
    """float32 [N, numbers] of mean 0 and length 1, so that products are correlations; 0 for uniform images."""
    flat = images.reshape(len(images), int(np.prod(images.shape[1:]))).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(length > UNIFORM * flat.shape[1] ** 0.5, length, np.inf)


def _joined(first: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`first` where images `a` and `b` are alike, too."""
    number = len(first)
    edges = np.concatenate([np.arange(number), a]), np.concatenate([first, b])
    _, component = connected_components(coo_array((np.ones(len(edges[0]), bool), edges), (number, number)), False)
    return np.unique(component, return_index=True)[1][component]
