"""Take the pictures of pages in docs/images/, of the results in the current folder.

    python docs/pictures.py        # after `dvc repro` and `make export`, in a repository root

Needs Chromium. The pictures there now are of CIFAR-10 (JPEG), with the committed params.yaml.
"""

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
sys.path.insert(0, str(ROOT))

from tests.browser.conftest import launch

from PIL import Image
from playwright.sync_api import Page, sync_playwright

WIDTH, HEIGHT = 1100, 800
COLOURS = 128  # that keep a picture of flat areas small, and photos of 32 pixels as they are


def main() -> None:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        tab.goto(Path("demo.html").absolute().as_uri())
        tab.get_by_text("The model is ready.").wait_for()
        take(tab, "export.png")
        with present() as url:
            tab.goto(url)
            tab.get_by_role("button", name="Test image 4", exact=True).click()
            tab.locator(".answer").wait_for(timeout=60_000)
            take(tab, "page.png")
        browser.close()


def take(tab: Page, name: str) -> None:
    picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(ROOT / "docs" / "images" / name, optimize=True)
    print(f"docs/images/{name}")


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
