"""scripts/present.py, run for a test, and what its visitors do."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection

from tests.clones import Clone

import psutil
from tornado.websocket import WebSocketClientConnection, websocket_connect

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"


@contextmanager
def serve(clone: Clone, *options: str) -> Iterator[tuple[str, Callable[[], str], int]]:
    """Run the page from another folder than the repository; gives its address, what it printed so far, and its PID."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = clone.path / ".present.tmp"
    command = [sys.executable, clone.path / "scripts" / "present.py", "--port", str(port), "--no-browser", *options]
    with open(log, "w") as output:
        environment = os.environ | clone.environment
        server = subprocess.Popen(
            command, cwd="/", env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"running at:\s+http://\S+?:(\d+)/", log.read_text())):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{found[1]}/", log.read_text, server.pid  # another port, where ours was taken
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)


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


def visit(port: int, path: str = "/", **headers: str) -> str:
    """Ask for the page as a program does that opens no socket; returns the ID of the visitor's process."""
    status, text = ask(port, path, **headers)
    assert status == 200, text
    return kernel_of(text)


def kernel_of(page: str) -> str:
    return re.search(rf'"kernelId": "({UUID})"', page)[1]


async def connect(port: int, kernel: str) -> WebSocketClientConnection:
    """As a browser that has read the page: it answers pings."""
    url = f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels"
    return await websocket_connect(url, on_message_callback=lambda message: None)


def open_socket(port: int, kernel: str, host: str = "", origin: str = "") -> tuple[int, socket.socket]:
    """Begin a WebSocket by hand; returns the status of the reply, 101 for success. It will not answer any ping."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = f"GET /api/kernels/{kernel}/channels HTTP/1.1\r\nHost: {host or f'127.0.0.1:{port}'}\r\n"
    head += f"Origin: {origin}\r\n" if origin else ""
    connection.sendall(f"{head}Connection: Upgrade\r\nUpgrade: websocket\r\n{KEY}\r\n".encode())
    return int(connection.recv(1000).split()[1]), connection


def run(coroutine: Coroutine) -> None:
    """In a thread of its own: Playwright has a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, asyncio.wait_for(coroutine, 120)).result()


def kernels(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if "ipykernel_launcher" in " ".join(child.cmdline())]


def leave(port: int, kernel: str) -> None:
    """As a browser that closes the page."""
    assert ask(port, f"/voila/api/shutdown/{kernel}", "POST", Cookie="_xsrf=aa", X_Xsrftoken="aa")[0] == 204
