"""Take the pictures of pages in docs/images/, of the results in the current folder.

    python docs/pictures.py export page          # after `dvc repro` and `make export`
    cd demo && python ../docs/pictures.py plots  # after `make demo`

Needs Chromium. `export` and `page` are of CIFAR-10 (JPEG) with the committed params.yaml, `plots` is of the demo.
"""

import argparse
import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

from tests.browser.conftest import launch

from PIL import Image
from playwright.sync_api import Page, sync_playwright

COLOURS = 128  # that keep a picture of flat areas small, and photos of 32 pixels as they are


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=PICTURES)
    names = parser.parse_args().names
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for name in names:
            tab = browser.new_page(viewport={"width": 1100, "height": 800})
            PICTURES[name](tab)
            save(tab.screenshot(), name)
        browser.close()


def export(tab: Page) -> None:
    tab.goto(Path("demo.html").absolute().as_uri())
    tab.get_by_text("The model is ready.").wait_for()


def page(tab: Page) -> None:
    with present() as url:
        tab.goto(url)
        tab.get_by_role("button", name="Test image 4", exact=True).click()
        tab.locator(".answer").wait_for(timeout=60_000)


def plots(tab: Page) -> None:
    tab.set_viewport_size({"width": 1050, "height": 1220})
    tab.goto(Path("dvc_plots/index.html").absolute().as_uri())
    tab.wait_for_function("document.querySelectorAll('svg.marks').length == 6")
    tab.evaluate("document.querySelector('#Recall_per_class').scrollIntoView()")


PICTURES = {"export": export, "page": page, "plots": plots}


def save(screenshot: bytes, name: str) -> None:
    path = ROOT / "docs" / "images" / f"{name}.png"
    picture = Image.open(io.BytesIO(screenshot)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    print(path.relative_to(ROOT))


@contextmanager
def present() -> Iterator[str]:
    """The address at which scripts/present.py serves its page."""
    with tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "scripts/present.py", "--no-browser"]
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            while not (found := re.search(r"running at:\s+(http\S+)", log.read())):
                time.sleep(0.5)
                log.seek(0)
            yield found[1]
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
