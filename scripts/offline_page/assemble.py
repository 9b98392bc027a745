"""A page in one file, which neither loads nor sends anything: what board.html, demo.html and an inspection share."""

import base64
import gzip
import hashlib
import html
import io
import json
from pathlib import Path
from string import Template
from typing import Any

from classifier.results.plots import RIGHT, WRONG

import numpy as np
from PIL import Image

HERE = Path(__file__).parent


def assemble(folder: Path, title: str, scripts: list[str], more_scripts: str = "", **parts: str) -> str:
    """The page whose page.html, style.css and scripts lie in `folder`.

    The browser runs only the page's own script and style, which it knows by their digests.

    Args:
        more_scripts: what else may run, as a Content-Security-Policy names it.
        parts: HTML for each `$name` in page.html.
    """

    def read(*paths: Path) -> str:
        return "\n".join(path.read_text(encoding="utf-8") for path in paths)

    script = read(*(folder / name for name in scripts))
    style = read(HERE / "base.css", folder / "style.css").replace("RIGHT", RIGHT).replace("WRONG", WRONG)
    return Template(read(HERE / "frame.html")).substitute(
        title=html.escape(title),
        body=Template(read(folder / "page.html")).substitute(parts, title=html.escape(title)),
        script=script,
        script_sources=f"{digest(script)} {more_scripts}".strip(),
        style=style,
        style_sources=digest(style),
    )


def digest(text: str) -> str:
    """How a Content-Security-Policy names a script or style that stands between two line ends."""
    value = hashlib.sha256(f"\n{text}\n".encode()).digest()
    return f"'sha256-{base64.b64encode(value).decode()}'"


def as_json(data: dict[str, Any]) -> str:
    """JSON that cannot end the script it stands in: `<` is only in its strings, where `\\u003c` means the same."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def compress(data: bytes) -> str:
    """gzip and base64, as pages unpack it: the same bytes each time."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def data_uri(image: np.ndarray, coarse: int, side: int) -> str:
    """A uint8 image [3, H, W]: exact up to `coarse` pixels a side, a JPEG of at most `side` where it is larger."""
    picture, buffer = Image.fromarray(image.transpose(1, 2, 0)), io.BytesIO()
    if picture.width <= coarse:
        picture.save(buffer, "PNG", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    picture.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
