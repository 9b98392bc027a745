"""Shell commands that edit image folders in data/, for people to run: nothing here touches a file."""

import shlex
from collections.abc import Iterable
from pathlib import PurePosixPath

from classifier.data.layouts import Dataset
from classifier.paths import DATA

# After edits of data/: DVC keeps the new version, and runs what depends on it.
AFTERWARDS = (
    f"dvc add {DATA}",
    "dvc repro",
    "dvc metrics diff",
    f"git add {DATA}.dvc dvc.lock metrics.json",
    'git commit -m "Data mended"',
)
# For layouts in which an image is no file of its own.
UNPACK = (f"python scripts/unpack.py {DATA} unpacked", f"rm -r {DATA}", f"mv unpacked {DATA}", *AFTERWARDS[:2])


def editable(dataset: Dataset) -> bool:
    """Whether each image is a file in a folder that is named like its class."""
    return dataset.layout == "image folders"


class Edits:
    """Commands for the images of a dataset, relative to the repository.

    Args:
        paths: all images, as `Sample.path` has them: split/class/….
    """

    def __init__(self, paths: Iterable[str]):
        self.taken = set(paths)

    def move(self, path: str, old: str, new: str) -> str:
        """The command that puts an image from class `old` into class `new` of its split, under a name that is free.

        Empty where no line of a script can say it.
        """
        split, name = path.split("/", 1)[0], PurePosixPath(path)
        target = f"{split}/{new}/{name.name}"
        if target in self.taken:
            target = f"{split}/{new}/{name.stem}-from-{old}{name.suffix}"
        self.taken.add(target)
        return _command("mv -n", path, target)  # -n, so that in no case a file is overwritten

    def remove(self, path: str) -> str:
        """The command that removes an image. Empty where no line of a script can say it."""
        return _command("rm", path)


def _command(verb: str, *paths: str) -> str:
    if not all(path.isprintable() for path in paths):  # a line break in a name would end a comment
        return ""
    return " ".join([verb, *(shlex.quote(f"{DATA}/{path}") for path in paths)])


def script(moves: Iterable[str], removals: Iterable[str]) -> str:
    """A shell script with these commands, which does nothing as it is written; empty ones are left out."""
    lines = [
        "# Nothing of this has been done. Look at index.html, remove the `# ` before each edit that you agree with,"
    ]
    lines += ["# and run: sh inspection/edits.sh", "", "# Labels that are likely wrong, the likeliest first"]
    lines += [f"# {edit}" for edit in moves if edit]
    lines += ["", "# Copies; of a picture under two classes, keep the right one"]
    lines += [f"# {edit}" for edit in removals if edit]
    lines += ["", "# Then", *(f"# {command}" for command in AFTERWARDS)]
    return "\n".join(lines) + "\n"
