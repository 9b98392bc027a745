"""Image folders: train/<class>/*, optionally val/<class>/* and test/<class>/*, also by other names that say so."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from classifier.data.images import endings
from classifier.data.layouts.base import Dataset, Sample, Split
from classifier.data.layouts.finding import readable, refuse, split_folders
from classifier.data.layouts.leftout import LeftOut
from classifier.data.limits import MAX_BYTES
from classifier.data.names import look_alike, require_sound
from classifier.errors import InputError
from classifier.files import odd_kind, read_file


def open_folders(root: Path) -> Dataset:
    with readable():
        return _open_folders(root)


def _open_folders(root: Path) -> Dataset:
    known, left_out = endings(), LeftOut()
    beside = [path for path in _in_order(root) if path.is_file() and not left_out.takes(path)]
    left_out.loose += left_out.pictures(beside, known)
    folders = split_folders(root, left_out)
    if "train" not in folders:
        raise InputError(f"{root}/train/ not found: it should hold a folder of images for each class.")
    names = {split: _class_names(folder, known, left_out) for split, folder in folders.items()}
    classes = names["train"]
    for split, found in names.items():
        missing, extra = sorted(set(classes) - set(found)), sorted(set(found) - set(classes))
        if missing or extra:
            raise InputError(
                f"{folders[split]}/ and {folders['train']}/ must have the same class folders: "
                f"missing in {split}: {missing or 'none'}, only in {split}: {extra or 'none'}."
                + look_alike(missing, extra)
            )
    if not classes:
        raise InputError(f"{folders['train']}/ holds no folders: it should hold a folder of images for each class.")
    splits = {}
    for split, folder in folders.items():
        images = []
        for label, name in enumerate(classes):
            files = _files(folder / name, root, left_out)
            images += [(file, label) for file in left_out.pictures(files, known)]
        require_sound((file.relative_to(root).as_posix() for file, _ in images), f"{root}/")
        splits[split] = Split(len(images), _folder_samples(root, images))
    left_out.say()
    return Dataset("image folders", classes, splits)


def _folder_samples(root: Path, images: list[tuple[Path, int]]) -> Callable[[], Iterator[Sample]]:
    def samples() -> Iterator[Sample]:
        for file, label in images:
            with readable():
                image = read_file(file, MAX_BYTES)
            yield Sample(file.relative_to(root).as_posix(), label, image)

    return samples


def _class_names(folder: Path, known: set[str], left_out: LeftOut) -> list[str]:
    """The names of the folders in that of a split."""
    names = []
    for path in _in_order(folder):
        if left_out.takes(path):
            continue
        _refuse_odd(path)
        if path.is_dir():
            names.append(path.name)
        else:
            left_out.loose += left_out.pictures([path], known)
    return names


def _in_order(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: path.name)


# A link to .../files/md5/ab/cdef... is how DVC itself links a tracked file to its cache.
_DVC_CACHE_OBJECT = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")


def _files(folder: Path, root: Path, left_out: LeftOut) -> list[Path]:
    """All files below `folder` in a fixed order, but what `left_out` takes; links out of `root` are refused."""
    _refuse_escape(folder, root)
    _refuse_linked_folder(folder)
    found = []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not left_out.takes(Path(parent, name))]
        names = [name for name in names if not left_out.takes(Path(parent, name))]
        for path in [Path(parent, name) for name in [*folders, *names]]:
            _refuse_odd(path)
            if path.is_symlink():
                _refuse_escape(path, root)
                _refuse_linked_folder(path)
        found += [Path(parent, name) for name in names]
    return sorted(found, key=lambda path: path.as_posix())


def _refuse_odd(path: Path) -> None:
    if kind := odd_kind(path):
        raise InputError(f"{path} is {kind}, neither a file nor a folder.")


def _refuse_linked_folder(path: Path) -> None:
    if path.is_symlink() and path.is_dir():
        raise InputError(f"{path} is a link to a folder, which is not followed: copy the folder instead.")


def _refuse_escape(path: Path, root: Path) -> None:
    target = path.resolve()
    if not target.is_relative_to(root.resolve()) and not _DVC_CACHE_OBJECT.search(target.as_posix()):
        raise InputError(f"{path} is a link that leaves the dataset ({target}): copy the file instead.")
