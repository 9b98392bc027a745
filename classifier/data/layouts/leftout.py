"""What lies in a dataset and is no part of it: counted and said, never passed over in silence."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from unicodedata import normalize

from classifier.errors import key_shown

# What file systems, cameras' storage, browsers of pictures and sync programs put beside people's files.
SERVICE = {
    *["@eadir", "@tmp", "@recycle", "@recently-snapshot", "@sharesnap", "#recycle", "#snapshot", "$recycle.bin"],
    *["~snapshot", "__macosx", "lost+found", "system volume information", "recycler", "recycled"],
    *["network trash folder", "temporary items", "thevolumesettingsfolder", "_gsdata_", "__pycache__"],
    *["thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini"],
}
_CONFLICT = re.compile(
    r"\((.*\b)?conflicted copy\b.*\)|\(.*\bcase conflict\b.*\)|\(unicode encoding conflict\b.*\)"  # Dropbox, Nextcloud
    r"|\([^()]*(konflikt|conflit|conflict|競合コピー)[^()]*\d{4}-\d\d-\d\d[^()]*\)"  # Dropbox in other languages
    r"|\.sync-conflict-\d{8}-\d{6}|[_-]conflict-\d{8}-\d{6}|^~syncthing~"  # Syncthing, ownCloud
    r"|\.conflict(\(\d+\))?(\.|$)|\(sfconflict .*\)|\[(conflict|conflicted)[^]]*\]",  # Resilio, Seafile, Google, pCloud
    re.IGNORECASE,
)
# Pictures all the same, that no decoder here reads.
UNREAD = {
    *[".heic", ".heif", ".hif", ".jxl", ".jxr", ".psd", ".xcf", ".svg", ".svgz", ".eps", ".pdf", ".exr", ".hdr"],
    *[".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".dcm", ".qoi", ".pcx", ".wmf"],
    *[".icns", ".dds", ".fits", ".sgi", ".emf", ".xpm", ".xbm", ".djvu", ".mpo"],
}


def is_service(name: str) -> bool:
    """Whether a file or folder of this name is hidden or not people's own."""
    return kind_of_service(name) is not None


def kind_of_service(name: str) -> str | None:
    """Under what to count a file or folder that is no part of a dataset; None if it may be one."""
    name = normalize("NFC", name)  # macOS takes letters and their marks apart
    if name.casefold() in SERVICE:
        return name.strip()
    if name.startswith("."):
        return "hidden"
    return "conflict copies" if _CONFLICT.search(name) else None


class LeftOut:
    """Counts what was left out, and says so."""

    def __init__(self) -> None:
        self.service: Counter[str] = Counter()
        self.unread: list[Path] = []  # pictures of formats that are not read
        self.others: list[Path] = []  # no pictures
        self.loose: list[Path] = []  # pictures in no class folder
        self.example: Path | None = None

    def takes(self, path: Path) -> bool:
        """Whether `path` is hidden or not people's own; then it is counted."""
        if kind := kind_of_service(path.name):
            self.service[kind] += 1
            self.example = self.example or path
        return kind is not None

    def pictures(self, paths: Iterable[Path], known: set[str]) -> list[Path]:
        """Those of `paths` whose ending is that of a format that is read; the others are counted."""
        found: list[Path] = []
        for path in paths:
            ending = path.suffix.lower()
            (found if ending in known else self.unread if ending in UNREAD else self.others).append(path)
        return found

    def say(self) -> None:
        """Print a line for each kind of thing that was left out."""
        if self.service:
            counts = ", ".join(f"{number} × {kind}" for kind, number in sorted(self.service.items()))
            print(f"left out what file systems and sync programs keep: {counts}, such as {_shown(self.example)}")
        if self.unread:
            formats = ", ".join(sorted({path.suffix.lower() for path in self.unread}))
            print(
                f"left out {len(self.unread)} picture(s) of formats that are not read ({formats}), such as "
                f"{_shown(self.unread[0])}: convert them to JPEG or PNG"
            )
        if self.others:
            print(f"ignored {len(self.others)} file(s) with the ending of no image, such as {_shown(self.others[0])}")
        if self.loose:
            print(f"ignored {len(self.loose)} picture(s) that lie in no class folder, such as {_shown(self.loose[0])}")


def _shown(path: Path | None) -> str:
    return key_shown(str(path))
