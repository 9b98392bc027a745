"""How many visitors the page takes, and for how long; test_present.py has what is on it."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from PIL import Image
from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import WebSocketClientConnection

from .conftest import new_page
from .serving import ask, connect, kernel_of, kernels, leave, open_socket, run, serve, visit, wait_until
from .test_present import encode, open_page, upload

pytestmark = pytest.mark.slow


def test_processes_of_visitors_who_left_or_never_came_end_within_a_minute(served):
    port, _ = served
    visitors = {}
    visitors["left"] = visit(port)
    open_socket(port, visitors["left"])[1].close()
    visitors["fell silent"] = visit(port)
    silent = open_socket(port, visitors["fell silent"])[1]

    def present() -> set[str]:
        return {name for name, kernel in visitors.items() if ask(port, f"/api/kernels/{kernel}")[0] == 200}

    async def watch() -> None:
        visitors["is here"] = visit(port)
        here = await connect(port, visitors["is here"])
        visitors["never came"] = await asyncio.to_thread(visit, port)
        start = time.monotonic()
        while present() != {"is here"}:
            assert time.monotonic() < start + 60, present()
            if time.monotonic() < start + 10:
                assert "never came" in present(), "on a slow network, a browser has not read the page's scripts yet"
            await asyncio.sleep(1)
        await asyncio.sleep(30)  # longer than anyone may be away
        assert present() == {"is here"}
        here.close()

    run(watch())
    silent.close()
    wait_until(lambda: not present(), 60)


def test_ten_visitors_at_once_share_one_model(served):
    port, pid = served

    async def come() -> tuple[float, str, WebSocketClientConnection]:
        start = time.monotonic()
        page = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/", connect_timeout=120, request_timeout=120)
        kernel = kernel_of(page.body.decode())
        return time.monotonic() - start, kernel, await connect(port, kernel)

    async def come_together() -> None:
        waited, found, here = zip(*await asyncio.gather(*(come() for _ in range(10))), strict=True)
        processes = [psutil.Process(pid), *psutil.Process(pid).children()]
        sizes = [process.memory_info().rss / 1e6 for process in processes]
        own = sum(process.memory_full_info().uss for process in processes) / 1e6  # without the code that all share
        print(f"waited up to {max(waited):.1f} s; {sorted(map(int, sizes))} MB, {own:.0f} in all")
        assert len(set(found)) == 10, "each has a process"
        assert len(kernels(pid)) == 10
        assert sorted(sizes)[-2] < 250, "all but that of the model"
        for kernel, connection in zip(found, here, strict=True):
            await asyncio.to_thread(leave, port, kernel)
            connection.close()

    run(come_together())


def test_one_more_than_the_limit_is_told_so_until_somebody_leaves(visited, browser, page):
    with serve(visited, "--visitors", "2") as (url, _, pid), new_page(browser) as stays:
        stays.goto(url)
        port = int(url.split(":")[2].strip("/"))
        first = visit(port, "/?theme=dark&template=lab")
        for path in ("/", "/?theme=dark"):
            status, text = ask(port, path)
            assert status == 503
            assert "All places are taken" in text
        assert len(kernels(pid)) == 2
        page.goto(url)
        assert page.get_by_role("heading").inner_text() == "All places are taken"
        leave(port, first)
        page.get_by_role("link", name="Try again now").click()
        page.wait_for_selector(".gallery img", timeout=60_000)
        page.reload()  # whose own place is free by then
        page.wait_for_selector(".gallery img", timeout=60_000)
        assert len(kernels(pid)) == 2

        # A page whose process has ended says so.
        leave(port, page.evaluate("kernelId"))
        page.get_by_role("button", name="Wake it up").click(timeout=30_000)
        page.wait_for_selector(".gallery img", timeout=60_000)


def test_if_the_process_with_the_model_dies_another_takes_its_place(served, page):
    port, pid = served
    open_page(page, f"http://127.0.0.1:{port}/")

    def process() -> psutil.Process | None:
        for child in psutil.Process(pid).children():
            with suppress(psutil.ZombieProcess):
                if "notebooks.answering" in child.cmdline():
                    return child
        return None

    (old := process()).kill()
    new = wait_until(lambda: (found := process()) and found.pid != old.pid and found, 30)
    wait_until(Path(new.cmdline()[-1]).exists, 30)
    picture = encode(Image.new("L", (16, 16)), "PNG")
    assert "How it weighs the possibilities" in upload(page, "small.png", picture)
