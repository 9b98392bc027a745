"""How many visitors the page takes, from where, and how much they may send; test_present.py has what is on it."""

import asyncio
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from threading import Barrier

from tests.clones import Clone, copy_clone

import psutil
import pytest
from PIL import Image
from tornado.websocket import websocket_connect

from .serving import serve
from .test_present import encode, open_page, upload

pytestmark = pytest.mark.slow

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"


@pytest.fixture(scope="module")
def clone(versions, tmp_path_factory) -> Clone:
    return copy_clone(versions, tmp_path_factory.mktemp("visited"))


@pytest.fixture(scope="module")
def served(clone):
    """The port of the page, and its PID."""
    with serve(clone) as (url, printed, pid):
        wait_until(lambda: "pool of demo.ipynb is filled" in printed(), 60)
        yield int(url.split(":")[2].strip("/")), pid


def wait_until(what, seconds: float):
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return value


def ask(port: int, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    reply = connection.getresponse()
    return reply.status, reply.read().decode()


def visit(port: int, path: str = "/") -> str:
    """Ask for the page as a program does that opens no socket; returns the ID of the visitor's process."""
    status, text = ask(port, path)
    assert status == 200
    return re.search(rf'"kernelId": "({UUID})"', text)[1]


def open_socket(port: int, kernel: str, host: str = "", origin: str = "") -> tuple[int, socket.socket]:
    """Begin a WebSocket by hand; returns the status of the reply, 101 for success. It will not answer any ping."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = f"GET /api/kernels/{kernel}/channels HTTP/1.1\r\nHost: {host or f'127.0.0.1:{port}'}\r\n"
    head += f"Origin: {origin}\r\n" if origin else ""
    connection.sendall(f"{head}Connection: Upgrade\r\nUpgrade: websocket\r\n{KEY}\r\n".encode())
    return int(connection.recv(1000).split()[1]), connection


def kernels(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if "ipykernel_launcher" in " ".join(child.cmdline())]


def leave(port: int, kernel: str) -> None:
    """As a browser that closes the page."""
    assert ask(port, f"/voila/api/shutdown/{kernel}", "POST", Cookie="_xsrf=aa", X_Xsrftoken="aa")[0] == 204


def test_processes_of_visitors_who_left_or_never_came_end_within_a_minute(served):
    port, _ = served
    visitors = {name: visit(port) for name in ("never came", "left", "fell silent", "is here")}
    open_socket(port, visitors["left"])[1].close()
    silent = open_socket(port, visitors["fell silent"])[1]

    def present() -> set[str]:
        return {name for name, kernel in visitors.items() if ask(port, f"/api/kernels/{kernel}")[0] == 200}

    async def watch() -> None:
        url = f"ws://127.0.0.1:{port}/api/kernels/{visitors['is here']}/channels"
        here = await websocket_connect(url, on_message_callback=lambda message: None)
        start = time.monotonic()
        while present() != {"is here"}:
            assert time.monotonic() < start + 60, present()
            if time.monotonic() < start + 10:
                assert "never came" in present(), "on a slow network, a browser has not read the page's scripts yet"
            await asyncio.sleep(1)
        await asyncio.sleep(30)  # longer than anyone may be away
        assert present() == {"is here"}
        here.close()

    asyncio.run(watch())
    silent.close()
    wait_until(lambda: not present(), 60)


def test_ten_visitors_at_once_wait_ten_seconds_at_most(served):
    port, pid = served
    together = Barrier(10)

    def come(_) -> tuple[float, str]:
        together.wait()
        start = time.monotonic()
        kernel = visit(port)
        return time.monotonic() - start, kernel

    with ThreadPoolExecutor(10) as threads:
        waited, found = zip(*threads.map(come, range(10)), strict=True)
    processes = [psutil.Process(pid), *psutil.Process(pid).children()]
    sizes = {process.pid: process.memory_info().rss / 1e6 for process in processes}
    print(f"waited {sorted(round(seconds, 1) for seconds in waited)} s; {sorted(map(int, sizes.values()))} MB")
    assert len(set(found)) == 10, "each has a process"
    assert len(kernels(pid)) == 10
    assert max(waited) <= 10
    assert sorted(sizes.values())[-2] < 250, "all but that of the model"
    for kernel in found:
        leave(port, kernel)


def test_one_more_than_the_limit_is_told_so_until_somebody_leaves(clone, page):
    with serve(clone, "--visitors", "2") as (url, _, pid):
        port = int(url.split(":")[2].strip("/"))
        first, second = visit(port), visit(port, "/?theme=dark&template=lab")
        for path in ("/", "/?theme=dark"):
            status, text = ask(port, path)
            assert status == 503
            assert "Everyone is here already" in text
        assert len(kernels(pid)) == 2
        page.goto(url)
        assert page.get_by_role("heading").inner_text() == "Everyone is here already"
        leave(port, first)
        page.get_by_role("link", name="Try again now").click()
        page.wait_for_selector(".gallery img", timeout=60_000)
        assert len(kernels(pid)) == 2
        page.reload()  # whose own place is free by then
        page.wait_for_selector(".gallery img", timeout=60_000)
        leave(port, second)

        # A page whose process has ended says so.
        leave(port, page.evaluate("kernelId"))
        page.get_by_role("button", name="Wake it up").click(timeout=30_000)
        page.wait_for_selector(".gallery img", timeout=60_000)


def test_requests_under_another_name_are_refused(served, clone):
    port, _ = served
    kernel = visit(port)
    static = re.search(r'src="(/voila/[^"]+\.js)"', ask(port)[1])[1]
    for path in ("/", "/nothing", "/login", static, f"/api/kernels/{kernel}", f"/voila/query/{kernel}"):
        for name in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "8.8.8.8", "localhost.evil"):
            assert ask(port, path, Host=name)[0] == 403
    evil = "http://evil.example"
    assert open_socket(port, kernel, "evil.example", evil)[0] == 403
    assert open_socket(port, kernel, "", evil)[0] == 403
    assert open_socket(port, kernel, "", f"http://127.0.0.1:{port}")[0] == 101
    assert ask(port, f"/voila/api/shutdown/{kernel}", "POST", Origin=evil)[0] in (403, 404)
    assert ask(port, f"/api/kernels/{kernel}")[0] == 200
    leave(port, kernel)
    assert ask(port, Origin=evil)[0] == 403
    for destination in ("iframe", "image", "empty"):
        assert ask(port, Sec_Fetch_Dest=destination)[0] == 403

    with serve(clone, "--hostname", "models.example") as (url, *_):
        port = int(url.split(":")[2].strip("/"))
        for name, status in {"models.example": 200, f"localhost:{port}": 200, "models-example": 403}.items():
            assert ask(port, Host=name)[0] == status


def test_no_code_of_a_visitor_is_run(served, tmp_path):
    port, _ = served
    kernel, canary = visit(port), tmp_path / "canary"
    header = {"msg_id": "1", "session": "1", "username": "", "version": "5.3"}

    async def send(kind: str, **content) -> None:
        message = {"header": header | {"msg_type": kind}, "parent_header": {}, "metadata": {}, "channel": "shell"}
        await connection.write_message(json.dumps(message | {"content": content}))

    async def attack() -> None:
        nonlocal connection
        url = f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels"
        connection = await websocket_connect(url, on_message_callback=said.append)
        await send("execute_request", code=f"open({str(canary)!r}, 'w')", silent=False)
        await send("kernel_info_request")  # which is answered, after what came before
        while not any("kernel_info_reply" in message for message in said):
            await asyncio.sleep(0.1)
        connection.close()

    connection, said = None, []
    asyncio.run(asyncio.wait_for(attack(), 30))
    assert not canary.exists()
    leave(port, kernel)


def test_too_large_uploads_are_refused_before_they_are_read(served, page, tmp_path):
    port, pid = served
    kernel = visit(port)
    _, connection = open_socket(port, kernel)
    connection.sendall(b"\x82\xff" + (200_000_000).to_bytes(8, "big") + bytes(4))  # the head of a message
    connection.settimeout(30)
    while connection.recv(2**16):
        pass  # until the server hangs up
    status, _ = ask(port, f"/voila/api/shutdown/{kernel}", "POST", Content_Length="200000000")
    assert status in (400, 413)
    leave(port, kernel)

    open_page(page, f"http://127.0.0.1:{port}/")
    large = tmp_path / "large.png"
    with open(large, "wb") as file:
        file.truncate(60_000_000)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose an image file").click()
    chooser.value.set_files(large)
    page.get_by_text("large.png has 60 MB").wait_for()
    assert page.get_by_text("up to 100 megapixels and 50 MB").is_visible()

    # Whatever ends the process that answers for all, another takes its place.
    process = next(child for child in psutil.Process(pid).children() if "notebooks.answering" in child.cmdline())
    process.kill()
    picture = encode(Image.new("L", (16, 16)), "PNG")
    wait_until(lambda: "How it weighs the possibilities" in upload(page, "small.png", picture), 60)
