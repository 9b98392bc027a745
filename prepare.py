"""Stage 1: split the dataset, decode every image, write tensors.

Reads  data/ (any layout that classifier/datasets knows) and the section `prepare` of params.yaml.
Writes prepared/{train,val,test}.safetensors, prepared/dataset.json and prepared/images.csv.

    python prepare.py
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import Any, NamedTuple

from classifier.config import PrepareParams, load_params
from classifier.datasets import open_dataset
from classifier.datasets.layout import SPLITS, Dataset, Sample
from classifier.errors import InputError, run
from classifier.files import atomic_write, write_csv, write_json
from classifier.images import decode
from classifier.prepared import DESCRIPTION, FOLDER, SplitWriter, split_path

import numpy as np
from tqdm import tqdm

CHUNK = 256  # images decoded at a time: bounds memory whatever the dataset's size


class Entry(NamedTuple):
    """What is known of an image before it is decoded, and which split it goes to."""

    path: str
    label: int
    sha256: str
    split: str


def main() -> None:
    params = load_params("prepare")
    augment = build_augmentation(params)
    dataset = open_dataset("data")
    print(f"data/: {dataset.layout}, {len(dataset.classes)} classes")

    entries, sources = hold_out(list_images(dataset), params)
    entries, excluded = exclude_copies(entries)
    check_classes(entries, dataset.classes)
    digests, mean, std = write_splits(dataset, entries, params.image_size, augment)
    describe(dataset, entries, sources, excluded, digests, params.image_size, mean, std)


def build_augmentation(params: PrepareParams) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function from uint8 [n, 3, H, W] to the same, or None; only then is torch imported."""
    if not params.augment:
        return None
    from classifier.augment import build_augment

    import torch

    transform = build_augment(params.augment, params.image_size, "prepare.augment")
    generator = torch.Generator().manual_seed(params.seed)

    def augment(images: np.ndarray) -> np.ndarray:
        augmented = transform(torch.from_numpy(images).float() / 255, generator)
        return (augmented * 255).round().clamp(0, 255).to(torch.uint8).numpy()

    return augment


def list_images(dataset: Dataset) -> dict[str, list[Entry]]:
    """Every image of the dataset with its digest, by the split that the dataset puts it in."""
    entries: dict[str, list[Entry]] = {}
    for name, split in dataset.splits.items():
        samples = progress(split.samples(), split.count, f"list {name}")
        entries[name] = [Entry(s.path, s.label, digest(s.image), name) for s in samples]
    return entries


def digest(image: bytes | np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(image) if isinstance(image, np.ndarray) else image).hexdigest()


def hold_out(entries: dict[str, list[Entry]], params: PrepareParams) -> tuple[dict[str, list[Entry]], dict[str, str]]:
    """Cut a test and a validation split from train where the dataset has none.

    Returns:
        the entries, still in the order and under the source split of the dataset but with their
        final split, and a sentence per split on where it came from.
    """
    sources = {name: f"the dataset's own {name} split" for name in entries}
    for name, fraction in (("test", params.test_fraction), ("val", params.val_fraction)):
        if name in entries:
            continue
        sources[name] = f"{fraction:g} of each class of train, cut off with seed {params.seed}"
        print(f"no {name} split in data/: {sources[name]}")
        chosen = stratified_sample(entries["train"], fraction, f"{params.seed} {name}")
        entries["train"] = [e._replace(split=name) if e.path in chosen else e for e in entries["train"]]
    return entries, sources


def stratified_sample(entries: Iterable[Entry], fraction: float, salt: str) -> set[str]:
    """Paths of `fraction` of the training images of each class, at least one.

    Images are ranked by a hash of salt and path rather than shuffled: the choice does not depend on
    a random generator's version, and adding images to the dataset hardly moves the others.
    """
    by_class: dict[int, list[str]] = {}
    for entry in entries:
        if entry.split == "train":
            by_class.setdefault(entry.label, []).append(entry.path)
    chosen: set[str] = set()
    for paths in by_class.values():
        paths.sort(key=lambda path: hashlib.blake2b(f"{salt} {path}".encode(), digest_size=16).digest())
        chosen.update(paths[: max(1, round(fraction * len(paths)))])
    return chosen


def exclude_copies(entries: dict[str, list[Entry]]) -> tuple[dict[str, list[Entry]], list[dict[str, str]]]:
    """Mark as excluded each training image that is also in val or test, and each val image in test.

    Otherwise the model is tested on what it has learnt by heart. Copies inside a split stay.
    """
    held_out: dict[str, str] = {}
    excluded = []
    for split, later in (("test", ("val", "train")), ("val", ("train",))):
        for entry in (e for group in entries.values() for e in group if e.split == split):
            held_out.setdefault(entry.sha256, entry.path)
        for source, group in entries.items():
            for i, entry in enumerate(group):
                if entry.split in later and entry.sha256 in held_out:
                    excluded.append({"path": entry.path, "same_as": held_out[entry.sha256]})
                    group[i] = entry._replace(split="excluded")
            entries[source] = group
    for pair in excluded[:10]:
        print(f"excluded {pair['path']}: the same image as {pair['same_as']}")
    if excluded:
        print(f"excluded {len(excluded)} image(s) that are also in a held-out split; all are in {DESCRIPTION}")
    return entries, excluded


def check_classes(entries: dict[str, list[Entry]], classes: list[str]) -> None:
    """Every class needs an image in every split, or its recall is undefined."""
    present = {(e.split, e.label) for group in entries.values() for e in group}
    lacking = [f"{name} in {split}" for split in SPLITS for i, name in enumerate(classes) if (split, i) not in present]
    if lacking:
        raise InputError(f"data/ has no images of these classes: {', '.join(lacking)}.")


def write_splits(
    dataset: Dataset,
    entries: dict[str, list[Entry]],
    image_size: int,
    augment: Callable[[np.ndarray], np.ndarray] | None,
) -> tuple[dict[str, str], list[float], list[float]]:
    """Decode every image and append it to its split's file.

    Returns:
        the SHA-256 of each file, and mean and std per channel of the training split in [0, 1].

    Raises:
        InputError: naming all images that cannot be decoded; then no file is written.
    """
    bad: list[str] = []
    histogram = np.zeros((3, 256), dtype=np.int64)  # exact, so that no order of summation matters

    def decode_or_note(sample: Sample) -> np.ndarray | None:
        try:
            return decode(sample.image, image_size)
        except ValueError as error:
            bad.append(f"{sample.path}: {error}")
            return None

    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        writers = {}
        for split in SPLITS:
            labels = np.array([e.label for g in entries.values() for e in g if e.split == split], dtype=np.int64)
            file = stack.enter_context(atomic_write(split_path(split)))
            writers[split] = SplitWriter(file, labels, image_size)
        for source, split in dataset.splits.items():
            samples = progress(split.samples(), split.count, f"decode {source}")
            targets = iter(entries[source])
            while chunk := list(islice(samples, CHUNK)):
                images = list(pool.map(decode_or_note, chunk))
                targets_of_chunk = [entry.split for entry in islice(targets, len(chunk))]
                if bad:
                    continue  # nothing will be written; go on to find all bad images
                for name, writer in writers.items():
                    chosen = [i for i, t in zip(images, targets_of_chunk, strict=True) if t == name]
                    if not chosen:
                        continue
                    batch = np.stack(chosen)
                    if name == "train":
                        batch = augment(batch) if augment else batch
                        histogram += [np.bincount(batch[:, c].ravel(), minlength=256) for c in range(3)]
                    writer.append(batch)
        if bad:
            raise InputError("\n  ".join([f"data/ has {len(bad)} image(s) that cannot be used:", *sorted(bad)]))
    levels = np.arange(256) / 255
    mean = histogram @ levels / histogram.sum(1)
    std = np.sqrt(histogram @ levels**2 / histogram.sum(1) - mean**2)
    return {name: writer.sha256() for name, writer in writers.items()}, mean.tolist(), std.tolist()


def describe(
    dataset: Dataset,
    entries: dict[str, list[Entry]],
    sources: dict[str, str],
    excluded: list[dict[str, str]],
    digests: dict[str, str],
    image_size: int,
    mean: list[float],
    std: list[float],
) -> None:
    """Write dataset.json, and images.csv with a row per image: from data/ to its place in a tensor."""
    by_split: dict[str, list[Entry]] = {split: [] for split in (*SPLITS, "excluded")}
    for group in entries.values():
        for entry in group:
            by_split[entry.split].append(entry)
    splits: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        counts = np.bincount([e.label for e in by_split[split]], minlength=len(dataset.classes)).tolist()
        splits[split] = {
            "count": sum(counts),
            "source": sources[split],
            "sha256": digests[split],
            "per_class": dict(zip(dataset.classes, counts, strict=True)),
        }
        print(f"{split}: {splits[split]['count']} images")
    write_json(
        DESCRIPTION,
        {
            "layout": dataset.layout,
            "classes": dataset.classes,
            "image_size": image_size,
            "mean": mean,
            "std": std,
            "splits": splits,
            "excluded": excluded,
        },
    )
    rows = (
        (split, index, entry.path, dataset.classes[entry.label], entry.sha256)
        for split, group in by_split.items()
        for index, entry in enumerate(group)
    )
    write_csv(FOLDER / "images.csv", ["split", "index", "path", "class", "sha256"], rows)


def progress(samples: Iterator[Sample], count: int, description: str) -> Iterator[Sample]:
    return iter(tqdm(samples, description, count, unit=" images", disable=None, leave=False))


if __name__ == "__main__":
    run(main)
