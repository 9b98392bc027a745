"""What the page refuses: other names and sites, code, too much."""

import asyncio
import json
import re

import pytest
from tornado.websocket import websocket_connect

from .serving import ask, leave, open_socket, run, serve, visit
from .test_present import open_page

pytestmark = pytest.mark.slow


def test_requests_under_another_name_are_refused(served, visited):
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

    with serve(visited, "--hostname", "models.example") as (url, *_):
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
    run(attack())
    assert not canary.exists()
    leave(port, kernel)


def test_too_large_uploads_are_refused_before_they_are_read(served, page, tmp_path):
    port, _ = served
    kernel = visit(port)
    _, connection = open_socket(port, kernel)
    connection.sendall(b"\x82\xff" + (200_000_000).to_bytes(8, "big") + bytes(4))  # the head of a message
    connection.settimeout(30)
    while connection.recv(2**16):
        pass  # until the server hangs up
    status, _ = ask(port, f"/voila/api/shutdown/{kernel}", "POST", Content_Length="100000")
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
