"""What lies in a dataset, before anything is made of it: numbers, sides, and which images are alike.

Two passes. The first takes the digest of every image and reads its sides from its header. The second decodes, one of
each kind of equal bytes, as many images as a budget allows; which ones depends on their digests, not on names or order.
Beside the path, some 30 bytes of an image are kept, and 768 of one that was decoded, of which there are at most
MAX_IMAGES unless all are asked for.
"""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from classifier.data.alike import THUMBNAIL, first_alike
from classifier.data.images import FORMATS, decode
from classifier.data.layouts import Dataset, Sample
from classifier.data.splits import SPLITS

import numpy as np
from PIL import Image
from tqdm import tqdm

MAX_IMAGES = 60_000  # comparing is quadratic: half a minute on two cores
MAX_PIXELS = 20_000_000_000  # decoded at 100 million a second and core, give or take
CHUNK = 256  # images held at a time
COLOURLESS = 3  # levels between the channels of a thumbnail that JPEG makes of no colour at all


@dataclass(frozen=True)
class Survey:
    """A dataset of N images, of which M were decoded; arrays have an element per image, in the dataset's order."""

    layout: str
    classes: list[str]
    own_splits: tuple[str, ...]  # which of SPLITS the dataset has
    paths: list[str]
    splits: np.ndarray  # int [N], an index in SPLITS
    labels: np.ndarray  # int [N]
    digests: np.ndarray  # uint64 [N], of the bytes; of a million images, two share one once in 30 million times
    sides: np.ndarray  # int [N, 2], the shorter and the longer one in pixels; 0 where there is no image
    group: np.ndarray  # int [N], the first image that this one is alike to, by bytes or by looks, or itself
    decoded: int  # M, which counts equal bytes once, as does the next number
    distinct: int
    grey: float  # share of the decoded images that have no colour
    unreadable: list[str]  # path and reason of each that was to be decoded and could not

    def counts(self, split: str) -> np.ndarray:
        """int [classes]: how many images of each class the split has in the dataset itself."""
        return np.bincount(self.labels[self.splits == SPLITS.index(split)], minlength=len(self.classes))

    def median_sides(self) -> tuple[int, int]:
        """The medians of the shorter and of the longer side of the images, in pixels; 0 if none is an image."""
        known = self.sides[self.sides[:, 0] > 0]
        return (int(np.median(known[:, 0])), int(np.median(known[:, 1]))) if len(known) else (0, 0)


def survey(dataset: Dataset, everything: bool = False) -> Survey:
    """Look at `dataset`; with `everything` at each image, however long that takes."""
    total = sum(split.count for split in dataset.splits.values())
    splits, labels, sides = np.zeros(total, int), np.zeros(total, int), np.zeros((total, 2), int)
    digests, paths = np.zeros(total, np.uint64), []
    for index, (split, sample) in enumerate(_samples(dataset, "list")):
        paths.append(sample.path)
        splits[index], labels[index] = SPLITS.index(split), sample.label
        digests[index], sides[index] = int(sample.sha256()[:16], 16), measure(sample.image)

    _, first, kind = np.unique(digests, return_index=True, return_inverse=True)
    chosen = np.sort(first)
    if not everything:
        pixels = float(sides[chosen].astype(float).prod(axis=1).sum())
        share = min(1.0, MAX_IMAGES / max(1, len(chosen)), MAX_PIXELS / max(1.0, pixels))
        chosen = chosen[(digests[chosen] <= share * 2.0**64) | (sides[chosen, 0] == 0)]
    seen, thumbnails, unreadable = _look(dataset, chosen)
    group = np.arange(total)
    group[seen] = seen[first_alike(thumbnails)]
    spread = (thumbnails.max(axis=1).astype(int) - thumbnails.min(axis=1)).mean(axis=(1, 2))
    return Survey(
        dataset.layout,
        dataset.classes,
        tuple(split for split in SPLITS if split in dataset.splits),
        paths,
        splits,
        labels,
        digests,
        sides,
        group[first[kind]],
        len(seen) + len(unreadable),
        len(first),
        float((spread < COLOURLESS).mean()) if len(seen) else 0.0,
        unreadable,
    )


def measure(image: bytes | np.ndarray) -> tuple[int, int]:
    """The shorter and the longer side in pixels, without decoding; 0, 0 if this is no image."""
    if isinstance(image, np.ndarray):
        return min(image.shape[:2]), max(image.shape[:2])
    try:
        with Image.open(io.BytesIO(image), formats=FORMATS) as picture:
            return min(picture.size), max(picture.size)
    except Exception:  # Pillow's readers raise nearly anything on damaged files; `decode` says what is wrong
        return 0, 0


def _look(dataset: Dataset, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Decode the images `chosen`, sorted indices.

    Returns:
        the indices of those that could be decoded, their thumbnails, uint8 [M, 3, THUMBNAIL, THUMBNAIL], and the path
        and reason of each other.
    """
    seen: list[int] = []
    unreadable: list[str] = []
    thumbnails = np.zeros((len(chosen), 3, THUMBNAIL, THUMBNAIL), np.uint8)
    wanted = np.zeros(sum(split.count for split in dataset.splits.values()), bool)
    wanted[chosen] = True
    samples = ((i, sample) for i, (_, sample) in enumerate(_samples(dataset, "look at")) if wanted[i])
    with ThreadPoolExecutor() as pool:
        while chunk := list(islice(samples, CHUNK)):
            for (index, sample), made in zip(chunk, pool.map(_thumbnail, (s.image for _, s in chunk)), strict=True):
                if isinstance(made, str):
                    unreadable.append(f"{sample.path}: {made}")
                else:
                    thumbnails[len(seen)] = made
                    seen.append(index)
    return np.array(seen, int), thumbnails[: len(seen)], unreadable


def _thumbnail(image: bytes | np.ndarray) -> np.ndarray | str:
    """uint8 [3, THUMBNAIL, THUMBNAIL] of the whole image, or what is wrong with it."""
    try:
        return decode(image, THUMBNAIL, "squash")
    except ValueError as error:
        return str(error)


def _samples(dataset: Dataset, what: str) -> Iterator[tuple[str, Sample]]:
    for name, split in dataset.splits.items():
        for sample in tqdm(split.samples(), f"{what} {name}", split.count, unit=" images", disable=None, leave=False):
            yield name, sample
