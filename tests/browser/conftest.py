"""A browser without a network, and a page that must stay silent: no errors on the console, no outside requests."""

import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from ..pipeline.conftest import finished  # noqa: F401 (the fixture)

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOCAL = {"file", "blob", "data", "about"}  # schemes that need no network


def pytest_collection_modifyitems(items):
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def browser() -> Iterator:
    sync_api = pytest.importorskip("playwright.sync_api")
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if not executable:
        pytest.skip("neither chromium nor google-chrome is on the PATH")
    with sync_api.sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield instance
        instance.close()


@pytest.fixture
def page(browser) -> Iterator:
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(f"console {message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("request", lambda request: complaints.append(request.url) if outside(request.url) else None)
    yield page
    context.close()
    assert complaints == []


def outside(url: str) -> bool:
    return urlsplit(url).scheme not in LOCAL
