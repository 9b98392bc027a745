"""A real browser, Chromium, for pages that people open. Without one, the tests that need it are skipped and say so."""

import shutil
from contextlib import contextmanager

from classifier.errors import InputError
from tests.clones import Clone, copy_clone
from tests.conftest import ROOT

import pytest

from .serving import serve, wait_until

CACHE = ROOT / ".cache"

# The first has no windows, as Playwright's own, and takes a third less of the processor.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
FLAGS += "--disable-component-update --disable-sync"


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


def launch(playwright):
    """Chromium as the system has it; without one, the test is skipped."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the PATH")
    return playwright.chromium.launch(executable_path=path, args=FLAGS.split())


@pytest.fixture(scope="session")
def runtime_files():
    """What runs the model in demo.html, fetched once and kept; without it, the test is skipped."""
    from demo_page import runtime  # which docs/pictures.py, where `launch` is used too, does not find

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "CACHE", CACHE)
        try:
            return runtime.fetch_runtime()
        except InputError as error:
            pytest.skip(str(error))


@pytest.fixture
def page(browser):
    with new_page(browser) as page:
        yield page


@contextmanager
def new_page(browser):
    """An empty page, 1280 pixels wide. `page.errors` and `page.requested` collect what it complains of and asks for."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.errors, page.requested = [], []
    page.on("console", lambda message: message.type == "error" and page.errors.append(message.text))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda request: page.requested.append(request.url))
    yield page
    page.close()


@pytest.fixture(scope="module")
def visited(versions, tmp_path_factory) -> Clone:
    return copy_clone(versions, tmp_path_factory.mktemp("visited"))


@pytest.fixture(scope="module")
def served(visited):
    """The port of the page, and its PID."""
    with serve(visited) as (url, printed, pid):
        wait_until(lambda: "pool of demo.ipynb is filled" in printed(), 60)
        yield int(url.split(":")[2].strip("/")), pid
