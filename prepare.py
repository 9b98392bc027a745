"""Stage 1: split the dataset, decode every image, write tensors.

Reads  data/ (any layout that classifier/data/layouts knows) and the section `prepare` of params.yaml.
Writes prepared/{train,val,test}.safetensors, prepared/dataset.json and prepared/images.csv.

    python prepare.py
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

from classifier.config import PrepareParams, Sections, load_params
from classifier.data.doubts import say_doubts
from classifier.data.images import decode
from classifier.data.layouts import Dataset, Sample, open_dataset
from classifier.data.parallel import on_all_cores
from classifier.data.prepared import SplitWriter
from classifier.data.splits import EXCLUDED, SPLITS, Entry, exclude_copies, hold_out, lacking
from classifier.errors import InputError, run
from classifier.files import atomic_write, write_csv, write_json
from classifier.paths import COLUMNS, DATA, DATASET, LISTING, PREDICTIONS, split_path

import numpy as np
from tqdm import tqdm

CHUNK = 256, 64 << 20  # images that are augmented and written at a time, and their bytes, at most: bounds memory
NOWHERE = "none: prepare.test_fraction is 0"  # the source of the test split if nothing is held back for it

ArrayAugment = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    params = load_params("prepare", further=augment_problems)
    augment = build_array_augment(params)
    dataset = open_dataset(DATA)
    check_class_names(dataset.classes)
    print(f"data/: {dataset.layout}, {len(dataset.classes)} classes")

    entries, sources = assign_splits(list_images(dataset), set(dataset.splits), params)
    entries, excluded = exclude_copies(entries)
    for pair in excluded[:10]:
        print(f"excluded {pair['path']}: the same image as {pair['same_as']}")
    if excluded:
        print(f"excluded {len(excluded)} image(s) that are also in a held-out split; {DATASET} lists them")
    if missing := lacking(entries, dataset.classes, sources):
        raise InputError(f"data/ has no images of these classes: {', '.join(missing)}.")
    doubts = say_doubts(entries, dataset.classes, params.conflicts)
    files, statistics = write_splits(dataset, entries, params, augment)

    by_split = {split: [e for e in entries if e.split == split] for split in (*SPLITS, EXCLUDED)}
    rows = ((s, i, e.path, dataset.classes[e.label], e.sha256) for s in by_split for i, e in enumerate(by_split[s]))
    write_csv(LISTING, ["split", "index", "path", "class", "sha256"], rows)
    splits = {
        s: count_per_class(by_split[s], dataset.classes) | {"source": sources.get(s, NOWHERE)} | files[s]
        for s in SPLITS
    }
    write_json(
        DATASET,
        {"layout": dataset.layout, "classes": dataset.classes, "image_size": params.image_size, "fit": params.fit}
        | statistics
        | {"splits": splits, "excluded": excluded}
        | doubts,
    )
    print(", ".join(f"{split}: {splits[split]['count']} images" for split in SPLITS))


def augment_problems(sections: Sections) -> Iterable[str]:
    """What is wrong with prepare.augment, a line for each problem."""
    prepare = sections["prepare"]
    if not prepare.get("augment") or "image_size" not in prepare:
        return []
    from classifier.data.augment import find_problems

    return find_problems(prepare["augment"], prepare["image_size"], "prepare.augment", prepare["image_size"])


def build_array_augment(params: PrepareParams) -> ArrayAugment | None:
    """A function from uint8 [n, 3, H, W] to the same, or None; only then is torch imported."""
    if not params.augment:
        return None
    from classifier.data.augment import build_augment

    import torch

    transform = build_augment(params.augment, params.image_size, "prepare.augment")
    generator = torch.Generator().manual_seed(params.seed)

    def apply(images: np.ndarray) -> np.ndarray:
        augmented = transform(torch.from_numpy(images).float() / 255, generator)
        return (augmented * 255).round().clamp(0, 255).to(torch.uint8).numpy()

    return apply


def check_class_names(classes: list[str]) -> None:
    """Refuse classes that nothing can be learnt of, or that predictions.csv has no column for."""
    if len(classes) < 2:
        raise InputError(f"data/ has one class only ({', '.join(classes)}): a classifier needs at least two.")
    if taken := sorted(set(COLUMNS) & set(classes)):
        raise InputError(f"data/ has a class called {taken[0]}, which is a column of {PREDICTIONS}: rename the class.")


def list_images(dataset: Dataset) -> list[Entry]:
    """Every image of the dataset with its digest, in the order in which `write_splits` decodes them."""

    entries: list[Entry] = []
    for name, split in dataset.splits.items():
        samples = progress(split.samples(), split.count, f"list {name}")
        digests = on_all_cores(lambda sample: (sample.path, sample.label, sample.sha256()), samples)
        entries += (Entry(*described, name) for described in digests)
    return entries


def assign_splits(entries: list[Entry], own: set[str], params: PrepareParams) -> tuple[list[Entry], dict[str, str]]:
    """Cut off the splits that are not the dataset's `own`, but no test split where its fraction is 0.

    Returns:
        the entries, and where each split that there is comes from.
    """
    sources = {split: f"the dataset's own {split} split" for split in SPLITS}
    for name, fraction in (("test", params.test_fraction), ("val", params.val_fraction)):
        if name not in own and not fraction:
            del sources[name]
            print(f"no {name} split in data/, and prepare.{name}_fraction is 0: nothing is held back for a {name}")
        elif name not in own:
            sources[name] = f"{fraction:g} of each class of train, cut off with seed {params.seed}"
            print(f"no {name} split in data/: {sources[name]}")
            entries = hold_out(entries, name, fraction, params.seed)
    return entries, sources


def write_splits(
    dataset: Dataset, entries: list[Entry], params: PrepareParams, augment: ArrayAugment | None
) -> tuple[dict[str, dict[str, Any]], dict[str, list[float]]]:
    """Decode every image and append it to the file of its split.

    Returns:
        the digests of each file, and mean and std per channel of the training split, for pixels in [0, 1].

    Raises:
        InputError: naming all images that cannot be decoded; then no file is written.
    """
    bad: list[str] = []
    histogram = np.zeros((3, 256), dtype=np.int64)  # exact, whatever the order of summation

    def decode_or_note(sample: Sample) -> np.ndarray | None:
        try:
            return decode(sample.image, params.image_size, params.fit)
        except ValueError as error:
            bad.append(f"{sample.path}: {error}")
            return None

    most, most_bytes = CHUNK
    chunk = max(1, min(most, most_bytes // (3 * params.image_size**2)))
    with ExitStack() as stack:
        writers = {}
        for split in SPLITS:
            labels = np.array([e.label for e in entries if e.split == split], dtype=np.int64)
            file = stack.enter_context(atomic_write(split_path(split)))
            writers[split] = SplitWriter(file, labels, params.image_size)
        targets = (entry.split for entry in entries)
        for name, source in dataset.splits.items():
            decoded = on_all_cores(decode_or_note, progress(source.samples(), source.count, f"decode {name}"))
            while images := list(islice(decoded, chunk)):
                split_of = list(islice(targets, len(images)))
                if bad:
                    continue  # nothing will be written: only look for more bad images
                for target, writer in writers.items():
                    pairs = zip(images, split_of, strict=True)
                    batch = [image for image, s in pairs if s == target and image is not None]
                    if batch and target == "train":
                        stacked = augment(np.stack(batch)) if augment else np.stack(batch)
                        histogram += [np.bincount(stacked[:, c].ravel(), minlength=256) for c in range(3)]
                        writer.append(stacked)
                    else:
                        writer.append(batch)
        if bad:
            raise InputError(
                "\n  ".join([f"data/ has {len(bad)} image(s) that cannot be used; mend or remove them:", *sorted(bad)])
            )
    levels = np.arange(256) / 255
    mean = histogram @ levels / histogram.sum(1)
    variance = histogram @ levels**2 / histogram.sum(1) - mean**2
    std = np.sqrt(variance.clip(min=1 / 255**2))  # a channel that never varies must not divide by zero
    files = {split: writer.digests() for split, writer in writers.items()}
    return files, {"mean": mean.tolist(), "std": std.tolist()}


def count_per_class(entries: list[Entry], classes: list[str]) -> dict[str, Any]:
    """How many images there are, in all and of each class, as dataset.json has it."""
    counts = np.bincount([entry.label for entry in entries], minlength=len(classes)).tolist()
    return {"count": len(entries), "per_class": dict(zip(classes, counts, strict=True))}


def progress(samples: Iterator[Sample], count: int, description: str) -> Iterator[Sample]:
    return iter(tqdm(samples, description, count, unit=" images", disable=None, leave=False))


if __name__ == "__main__":
    run(main)
