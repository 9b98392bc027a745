"""What the names of files and folders in a dataset mean: a split, a shard of a set, or nothing of the dataset."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from classifier.data.layouts.base import Dataset
from classifier.data.layouts.leftout import LeftOut, is_service
from classifier.errors import InputError

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
EITHER = ("eval", "evaluation", "holdout", "held-out", "heldout")  # to some people val, to others test

_SHARD = re.compile(r"(?P<split>[a-z]+)(?=$|[^a-z])", re.IGNORECASE)
_OF = re.compile(r"(\d+)-of-(\d+)")
_DEPTH = 2  # folders that a shard may lie in: default/train/0000.parquet
_PARQUET = re.compile(r"\.parquet\Z", re.IGNORECASE)
_PART = re.compile(r"(.+\.parquet)\..", re.IGNORECASE)  # .part, .crdownload, .incomplete, .gz …
_ARCHIVE = re.compile(r"(\.tar)?\.(zip|tar|t?gz|t?bz2?|t?xz|zst|7z|rar)\Z", re.IGNORECASE)
_NUMBER = re.compile(r"(?:[a-z]+[-_.]?)?(\d+)", re.IGNORECASE)


def split_of(name: str) -> str | None:
    """Which split a folder or a part of a file's name plainly means, in whatever case; None if none."""
    return SPLIT_NAMES.get(name.casefold())


def split_folders(root: Path, left_out: LeftOut) -> dict[str, Path]:
    """The folder of each split, in the order train, val, test.

    Raises:
        InputError: naming a folder that is no split, may be one of two, or is a second one of the same.
    """
    found: dict[str, Path] = {}
    for path in sorted(root.iterdir()):
        if not path.is_dir() or left_out.takes(path):
            continue
        split = split_of(path.name)
        if not split:
            raise InputError(f"{path}/ {_no_split(path.name)} Rename it, or move it out of {root}/.")
        if split in found:
            raise InputError(f"{found[split]}/ and {path}/ are both {split}: join them, or move one out of {root}/.")
        found[split] = path
        if path.name != split:
            print(f"{path}/ is taken for the {split} split")
    return {split: found[split] for split in ("train", "val", "test") if split in found}


def split_of_shard(shard: Path, root: Path) -> tuple[str, str]:
    """The split of a parquet file, by its name or its folder's; and the folder of its configuration, "" for none.

    Raises:
        InputError: if neither name is a split's, or they are of two.
    """
    folders = list(shard.relative_to(root).parts[:-1])
    by_folder = split_of(folders[-1]) if folders else None
    match = _SHARD.match(shard.name)
    by_name = split_of(match["split"]) if match else None
    if by_folder:
        folders.pop()
    if by_folder and by_name and by_folder != by_name:
        raise InputError(f"{shard}: its name says {by_name} and its folder {by_folder}: rename one of them.")
    said = match["split"] if match else folders[-1] if folders else shard.stem
    split = by_name or (None if said.casefold() in EITHER else by_folder)
    if not split:
        raise InputError(f"{shard}: a shard's name must begin with its split: {said!r} {_no_split(said)}")
    return split, "/".join(folders)


def require_whole_set(shards: list[Path], split: str) -> None:
    """Refuse a numbered set of files of which one is missing, or two sets in one.

    Raises:
        InputError: naming what is missing.
    """
    parts = {shard: match for shard in shards if (match := _OF.search(shard.stem))}
    totals = {match[2] for match in parts.values()}
    if len(totals) > 1 or (parts and len(parts) < len(shards)):
        first = next(iter(parts))
        other = next(s for s in shards if s not in parts or parts[s][2] != parts[first][2])
        raise InputError(f"{first} and {other} are not of one set of shards: remove what does not belong to {split}.")
    if parts:
        _require_numbers({s: m[1] for s, m in parts.items()}, range(int(next(iter(totals)))))
        return
    numbers = {shard: match[1] for shard in shards if (match := _NUMBER.fullmatch(shard.stem))}
    if numbers and len(numbers) == len(shards):
        values = sorted(map(int, numbers.values()))
        counted = any(len(text) > 1 and text.startswith("0") for text in numbers.values()) or values[0] < 2
        start = min(values[0], 1) if counted else values[0]
        start = 0 if any(shard.stem.isdecimal() for shard in shards) else start  # as the Hub converts: 0000.parquet
        _require_numbers(numbers, range(start, values[-1] + 1))


def _require_numbers(numbers: dict[Path, str], wanted: range) -> None:
    """Refuse a set of files whose numbers are not exactly `wanted`."""
    by_number: dict[int, Path] = {}
    for shard, text in numbers.items():
        if int(text) in by_number:
            raise InputError(f"{by_number[int(text)]} and {shard} have the same number: remove one.")
        by_number[int(text)] = shard
    shard, text = next(iter(numbers.items()))
    name = shard.stem
    start = name.index(text)
    names = {i: f"{name[:start]}{i:0{len(text)}}{name[start + len(text) :]}{shard.suffix}" for i in wanted}
    if missing := [names[i] for i in wanted if i not in by_number]:
        listed = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise InputError(f"{shard.parent}/ lacks {len(missing)} of {len(wanted)} shards: {listed}: fetch the rest.")
    if extra := sorted(set(by_number) - set(wanted)):
        raise InputError(f"{by_number[extra[0]]} does not belong to a set of {len(wanted)} shards: remove it.")


def _no_split(name: str) -> str:
    """Why a name is no split's, and which names are."""
    if name.casefold() in EITHER:
        return "may mean val or test: call it which it is."
    return "is no split: these are train, val (or valid, validation, dev) and test."


def refuse_passed_over(root: Path, dataset: Dataset, shards: list[Path]) -> None:
    """Refuse what is called a split and is none of the dataset: an archive, or a folder beside shards or CIFAR's files.

    Raises:
        InputError: naming it.
    """
    read = {root / shard.relative_to(root).parts[0] for shard in shards}
    for path in sorted(root.iterdir()):
        split = split_of(_ARCHIVE.sub("", path.name))
        belongs = dataset.layout == "image folders" if path.is_dir() else split in dataset.splits
        if split and path not in read and not belongs:
            raise InputError(
                f"{path} would be passed over, since {root}/ is read as {dataset.layout}: unpack it if it is an "
                f"archive, or move it out of {root}/."
            )


def require_names(classes: list[str], root: Path) -> None:
    """Refuse classes that cannot be told apart by their names, or have none.

    Raises:
        InputError: naming them.
    """
    if bad := [name for name in classes if not isinstance(name, str) or not name.strip()]:
        raise InputError(f"{root}/ has {len(bad)} class(es) whose name is empty or no text, such as {bad[0]!r:.80}.")
    if twice := [name for name, number in Counter(classes).items() if number > 1]:
        raise InputError(f"{root}/ has several classes called {', '.join(map(repr, twice[:5]))}: join or rename them.")


def find_shards(root: Path) -> list[Path]:
    """What is called parquet in `root`, at most two folders down, but not conflict copies and what is hidden.

    A folder of such a name is among them, to be refused like any other shard that is no file.

    Raises:
        InputError: naming a shard of which there is only what a download or a program that packs has left.
    """
    found: list[Path] = []
    left_out = LeftOut()
    for parent, folders, names in os.walk(root, onerror=refuse):
        deep = len(Path(parent).relative_to(root).parts)
        named = [name for name in [*folders, *names] if ".parquet" in name.lower()]
        shards = [Path(parent, name) for name in named if _PARQUET.search(name)]
        folders[:] = [name for name in folders if not is_service(name) and not _PARQUET.search(name)]
        for name in named:
            part = _PART.match(name)
            if part and part[1] not in named and name in names and not is_service(name):
                raise InputError(
                    f"{Path(parent, name)} is no whole parquet file, and there is none beside it: fetch or unpack it, "
                    "or remove it."
                )
        if deep == _DEPTH:
            folders.clear()
        found += [shard for shard in shards if not left_out.takes(shard)]
    left_out.say()
    return sorted(found)


def refuse(error: OSError) -> None:
    """For os.walk, which would go on without the folder that it cannot read."""
    raise error


@contextmanager
def readable() -> Iterator[None]:
    """Say in a sentence which file or folder the block cannot read: an image must not be left out in silence."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be read ({error.strerror}): give yourself the right to, with `chmod -R u+rX`, "
            "or move it out of the dataset."
        ) from None
