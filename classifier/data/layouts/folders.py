"""Image folders: train/<class>/*, optionally val/<class>/* and test/<class>/*."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from classifier.data.images import endings
from classifier.data.layouts.base import Dataset, Sample, Split
from classifier.data.limits import MAX_BYTES
from classifier.data.names import look_alike, require_sound
from classifier.data.splits import SPLITS
from classifier.errors import InputError, key_shown
from classifier.files import odd_kind, read_file


def open_folders(root: Path) -> Dataset:
    known = endings()
    names = {s: _class_names(root / s) for s in SPLITS if (root / s).is_dir()}
    classes = names["train"]
    for split, found in names.items():
        missing, extra = sorted(set(classes) - set(found)), sorted(set(found) - set(classes))
        if missing or extra:
            raise InputError(
                f"{root / split}/ and {root}/train/ must have the same class folders: "
                f"missing in {split}: {missing or 'none'}, only in {split}: {extra or 'none'}."
                + look_alike(missing, extra)
            )
    if not classes:
        raise InputError(f"{root}/train/ holds no folders: it should hold a folder of images for each class.")
    splits, skipped = {}, []
    for split in names:
        files = [(f, label) for label, name in enumerate(classes) for f in _files(root / split / name, root)]
        skipped += [f for f, _ in files if f.suffix.lower() not in known]
        images = [(f, label) for f, label in files if f.suffix.lower() in known]
        require_sound((f.relative_to(root).as_posix() for f, _ in images), f"{root}/")
        splits[split] = Split(len(images), _folder_samples(root, images))
    if skipped:
        print(f"ignored {len(skipped)} file(s) whose ending is no image format's, such as {key_shown(str(skipped[0]))}")
    return Dataset("image folders", classes, splits)


def _folder_samples(root: Path, images: list[tuple[Path, int]]) -> Callable[[], Iterator[Sample]]:
    def samples() -> Iterator[Sample]:
        for file, label in images:
            yield Sample(file.relative_to(root).as_posix(), label, read_file(file, MAX_BYTES))

    return samples


def _class_names(folder: Path) -> list[str]:
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    for path in found:
        _refuse_odd(path)
    return sorted(path.name for path in found if path.is_dir())


# A link to .../files/md5/ab/cdef... is how DVC itself links a tracked file to its cache.
_DVC_CACHE_OBJECT = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")


def _files(folder: Path, root: Path) -> list[Path]:
    """All files below `folder` in a fixed order, hidden ones left out; links out of `root` are refused."""
    _refuse_escape(folder, root)
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in [Path(parent, name) for name in [*folders, *names]]:
            _refuse_odd(path)
            if path.is_symlink():
                _refuse_escape(path, root)
                if path.is_dir():
                    raise InputError(f"{path} is a link to a folder, which is not followed: copy the folder instead.")
        found += [Path(parent, name) for name in names if not name.startswith(".") and name != "Thumbs.db"]
    return sorted(found, key=lambda path: path.as_posix())


def _refuse_odd(path: Path) -> None:
    if kind := odd_kind(path):
        raise InputError(f"{path} is {kind}, neither a file nor a folder.")


def _refuse_escape(path: Path, root: Path) -> None:
    target = path.resolve()
    if not target.is_relative_to(root.resolve()) and not _DVC_CACHE_OBJECT.search(target.as_posix()):
        raise InputError(f"{path} is a link that leaves the dataset ({target}): copy the file instead.")
