"""index.html of an inspection: one file with all pictures in it, which neither loads nor sends anything."""

import html
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from classifier.data.duplicates import DECIDE
from classifier.files import atomic_write
from classifier.paths import DATA

import matplotlib
import numpy as np
import pandas as pd
from inspection_page import words
from offline_page.assemble import assemble, data_uri

HERE = Path(__file__).parent
SIDE = 144  # pixels of a thumbnail
COARSE = 64  # pixels a side up to which images are shown exactly, pixel by pixel
OF_SLICE = 12  # images shown of a slice
NEARLY = 5  # slices listed that do not fail
HEAT = matplotlib.colormaps["inferno"]


class Page:
    """A page in the making.

    Args:
        listed: split, index and path of each prepared image.
        images: by split, uint8 [N, 3, H, W], which may be mapped.
        centre: from such images to the part that the network sees.
        files: whether each image is a file in data/, to link to.
    """

    def __init__(
        self,
        listed: pd.DataFrame,
        images: dict[str, np.ndarray],
        centre: Callable[[np.ndarray], np.ndarray],
        files: bool,
    ):
        self.images, self.centre, self.files = images, centre, files
        self.place = {row.path: (row.split, int(row.index)) for row in listed.itertuples(index=False)}
        self.parts: dict[str, str] = {}

    def add_labels(self, table: pd.DataFrame, images: int, most: int) -> None:
        likely = table[table["likely"]]
        shown = likely.head(most) if len(likely) else table.head(OF_SLICE)
        cards = (
            self.picture(row["path"]) + label_words(row) + self.name(row["path"]) + box(row["edit"], "move it there")
            for row in shown.to_dict("records")
        )
        self.parts["labels_note"] = words.labels(len(likely), len(table) - len(likely), images, len(shown))
        self.parts["labels"] = f"<ol class='cards'><li>{'</li><li>'.join(cards)}</li></ol>" if len(shown) else ""

    def add_duplicates(self, table: pd.DataFrame, most: int) -> None:
        groups = [group for _, group in table.groupby("group")]
        cards = []
        for group in groups[:most]:
            first = next((path for path in group["path"] if path in self.place), "")
            copies = "".join(self.copy(row, first) for row in group.to_dict("records"))
            cards.append(f"<li><p>{group['copies'].iloc[0]}</p><ol class='cards'>{copies}</ol></li>")
        self.parts["duplicates_note"] = words.duplicates(table, min(most, len(groups)))
        self.parts["duplicates"] = f"<ol class='groups copies'>{''.join(cards)}</ol>" if cards else ""

    def add_mistakes(
        self, table: pd.DataFrame, found: int, images: int, heat: np.ndarray, method: str, split: str
    ) -> None:
        """`heat` belongs to the first rows of the table."""
        cards = []
        for number, row in enumerate(table.to_dict("records")):
            seen = self.picture(row["path"])
            if number < len(heat):
                seen += self.picture(row["path"], heat[number])
            ranks = range(1, 1 + sum(key.endswith("_cosine") for key in row))
            like = "".join(self.like(row, f"like_{rank}") for rank in ranks)
            said = f"<p>{words.mistake(row)}</p>{self.name(row['path'])}"
            cards.append(f"<li><div class='seen'>{seen}{said}</div><ol class='cards like'>{like}</ol></li>")
        self.parts["mistakes_note"] = words.mistakes(found, images, len(table), len(heat), method, split)
        self.parts["mistakes"] = f"<ol class='mistakes'>{''.join(cards)}</ol>" if cards else ""

    def add_slices(self, table: pd.DataFrame, wrong: list[pd.DataFrame], image: str) -> None:
        """`wrong` are the wrong answers of each row of the table."""
        failing = []
        for row, answers in zip(table.itertuples(), wrong, strict=True):
            if row.fails:
                some = answers.sort_values("confidence", ascending=False).head(OF_SLICE)
                shown = "".join(f"<li>{self.picture(path)}{self.name(path)}</li>" for path in some["path"])
                failing.append(f"<li><p>{words.slice_(row)}</p><ol class='cards like'>{shown}</ol></li>")
        nearest = (f"<li>{words.slice_(row)}</li>" for row in table[~table["fails"]].head(NEARLY).itertuples())
        self.parts["slices_note"] = words.slices(table, image)
        self.parts["slices"] = (
            f"<ol class='groups'>{''.join(failing)}</ol>"
            f"<p>Next, and not shown to be more than chance:</p><ul>{''.join(nearest)}</ul>"
        )

    def write(self, path: Path, afterwards: Iterable[str]) -> None:
        page = assemble(
            HERE,
            "What goes wrong, and what to do",
            ["app.js"],
            afterwards=escape("\n".join(afterwards)),
            how=words.how(self.files),
            coarse="coarse" if max(self.images["val"].shape[-2:]) <= COARSE else "",
            **self.parts,
        )
        with atomic_write(path) as file:
            file.write(page.encode())

    def copy(self, row: dict[str, Any], first: str) -> str:
        """One of several copies, of which `first` is prepared; one that prepare.py left out has its bytes."""
        picture = self.picture(row["path"] if row["path"] in self.place else first)
        return f"<li>{picture}<b>{escape(row['class'])}</b> in {row['split']}{self.name(row['path'])}{advice(row)}</li>"

    def like(self, row: dict[str, Any], key: str) -> str:
        """A training image that a mistake resembles."""
        doubted = "<span class='doubted'>label doubted</span>" if row[f"{key}_doubted"] else ""
        said = f"<b>{escape(row[f'{key}_class'])}</b><span>cosine {row[f'{key}_cosine']:.2f}</span>{doubted}"
        return f"<li>{self.picture(row[key])}{said}{self.name(row[key])}</li>"

    def picture(self, path: str, heat: np.ndarray | None = None) -> str:
        """An image as the network sees it; with `heat`, float [H, W] from 0 to 1, that is laid over it."""
        if path not in self.place:
            return ""
        split, index = self.place[path]
        pixels = np.asarray(self.centre(self.images[split][index]))
        if heat is not None:
            warm = HEAT(heat)[..., :3].transpose(2, 0, 1)
            pixels = (0.45 * pixels.mean(0, keepdims=True) + 0.55 * 255 * warm).astype(np.uint8)
        described = f"{path}, where the network looked" if heat is not None else path
        return f"<img loading='lazy' src='{data_uri(pixels, COARSE, SIDE)}' alt='{escape(described)}'>"

    def name(self, path: str) -> str:
        """The path, as a link to the file if there is one."""
        link = f"../{quote(f'{DATA}/{path}')}"
        shown = f"<a href='{link}'>{escape(path)}</a>" if self.files else escape(path)
        return f"<span class='path'>{shown}</span>"


def label_words(row: dict[str, Any]) -> str:
    said = f"{row['label_probability']:.0%}", f"{row['suggested_probability']:.0%}"
    label, suggested = escape(row["label"]), escape(row["suggested"])
    return f"<span>is “{label}” ({said[0]}),<br>rather <b>{suggested}</b> ({said[1]})</span>"


def advice(row: dict[str, Any]) -> str:
    """What to do with a copy: a box to tick, or words."""
    text = "remove it" + (" if this class is wrong" if row["advice"] == DECIDE else "")
    return box(row["edit"], text) or f"<span>{row['advice']}</span>"


def box(edit: str, text: str) -> str:
    """A box to tick for an edit, empty without one."""
    return f"<label><input type='checkbox' data-edit='{escape(edit)}'> {text}</label>" if edit else ""


def escape(text: str) -> str:
    """File and class names may hold anything."""
    return html.escape(str(text), quote=True)
