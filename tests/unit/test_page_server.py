"""scripts/present_page/server.py: for what a visitor waits; tests/browser/test_visitors.py has real ones."""

import asyncio
from types import SimpleNamespace

from tests.browser.serving import run

import pytest

pytest.importorskip("voila")

from present_page import server


def wait(monkeypatch, starts: list, waiting: int, start_again=None) -> bool:
    """Whether a visitor gets a process, where the pool has these futures, so many of which wait for a place."""
    monkeypatch.setattr(server, "PATIENCE", 0.2)
    pool = starts

    def fill_if_needed(**_) -> None:
        if not pool:
            pool.append(start_again())

    manager = SimpleNamespace(_pools={"demo": pool}, waiting=waiting, fill_if_needed=fill_if_needed)
    page = SimpleNamespace(notebook_path="demo")
    return server.Page.wait_for_kernel(page, manager)


def future(seconds: float | None = None, error: Exception | None = None) -> asyncio.Future:
    """A start that ends after a time, well or with an error, or never."""
    loop = asyncio.get_running_loop()
    made = loop.create_future()
    if seconds is not None:
        loop.call_later(seconds, *((made.set_exception, error) if error else (made.set_result, "kernel")))
    return made


def test_a_process_that_is_ready_behind_one_that_waits_for_a_place_is_taken(monkeypatch):
    async def visit():
        pool = [future(), future(0)]
        assert await wait(monkeypatch, pool, waiting=1)
        assert pool[0].done(), "Voilà takes the first"

    run(visit())


def test_where_all_wait_for_a_place_a_visitor_is_told_so(monkeypatch):
    async def visit():
        assert not await wait(monkeypatch, [future(), future()], waiting=2)

    run(visit())


def test_a_process_that_starts_is_waited_for_however_long_that_takes(monkeypatch):
    async def visit():
        assert await wait(monkeypatch, [future(1), future()], waiting=1)

    run(visit())


def test_where_no_process_can_be_started_a_visitor_does_not_wait_for_ever(monkeypatch):
    async def visit():
        assert not await wait(monkeypatch, [], 0, lambda: future(0.01, OSError("no room")))

    run(visit())
