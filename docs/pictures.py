"""Take the pictures in docs/images/, of the results in the current folder: of the demo, but for `page`.

    python docs/pictures.py page  # of CIFAR-10 (JPEG) with the committed params.yaml, after `dvc repro`
    make demo
    cd demo
    python scripts/export_demo.py
    python ../docs/pictures.py export plots leet

Needs Chromium, and `leet` tmux.
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
from rich.console import Console
from rich.text import Text

COLUMNS, LINES = 150, 42  # of a terminal
KEYS = "Down Space Down Down Space ] Up Up Up Space Down"  # the trainings are the second and the fourth run
PATIENCE = 300_000  # milliseconds
COLOURS = 128  # that keep a picture of flat areas small, and photos of 32 pixels as they are


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=PICTURES)
    names = parser.parse_args().names
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for name in names:
            tab = browser.new_page(viewport={"width": 1100, "height": 800})
            tab.set_default_timeout(PATIENCE)
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
        tab.locator(".answer").wait_for()


def plots(tab: Page) -> None:
    tab.set_viewport_size({"width": 1050, "height": 1220})
    tab.goto(Path("dvc_plots/index.html").absolute().as_uri())
    tab.wait_for_function("document.querySelectorAll('svg.marks').length == 6")
    tab.evaluate("document.querySelector('#Recall_per_class').scrollIntoView()")


def leet(tab: Page) -> None:
    """The terminal, with the curves of both trainings."""
    screen = play("wandb leet ./wandb", KEYS)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    console.print(Text.from_ansi("\n".join(screen.split("\n")[: LINES - 2])), no_wrap=True)
    tab.set_viewport_size({"width": 1320, "height": 752})
    tab.route("http*://**", lambda route: route.abort())  # a font that any other does for
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "leet.svg"
        picture.write_text(console.export_svg(title="wandb leet ./wandb"), encoding="utf-8")
        tab.goto(picture.as_uri())


def play(command: str, keys: str) -> str:
    """What a terminal shows, with its colours, after a command has started and these keys were pressed."""
    tmux = ["tmux", "-L", "pictures"]
    size = ["-x", str(COLUMNS), "-y", str(LINES)]
    subprocess.run([*tmux, "new-session", "-d", *size, f"COLORTERM=truecolor {command}"], check=True)
    try:
        for key in ["", *keys.split()]:
            if key:
                subprocess.run([*tmux, "send-keys", key], check=True)
            time.sleep(3 if key else 30)
        return subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True).stdout
    finally:
        subprocess.run([*tmux, "kill-server"])


PICTURES = {"export": export, "page": page, "plots": plots, "leet": leet}


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
