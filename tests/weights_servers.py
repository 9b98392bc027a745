"""Loopback servers that speak as much of two protocols as fetching weights needs: a file, and the Hugging Face Hub."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Served:
    """A file of a server.

    Args:
        content: its bytes.
        digest: the SHA-256 that the Hub states; that of `content` if empty.
        cut: send half of it, then close the connection; and close it at once when asked for the rest.
    """

    content: bytes
    digest: str = ""
    cut: bool = False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_HEAD(self) -> None:
        served = self.server.files.get(self.path)
        self.start_reply(served, len(served.content) if served else 0)

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        served = self.server.files.get(self.path)
        if served is None:
            self.start_reply(None, 0)
        elif served.cut:
            self.close_connection = True
            if "Range" not in self.headers:
                self.start_reply(served, len(served.content))
                self.wfile.write(served.content[: len(served.content) // 2])
        else:
            self.start_reply(served, len(served.content))
            self.wfile.write(served.content)

    def start_reply(self, served: Served | None, length: int) -> None:
        self.send_response(200 if served else 404)
        self.send_header("Content-Length", str(length))
        self.send_header("X-Repo-Commit", COMMIT)
        if served:
            self.send_header("ETag", f'"{served.digest or sha256(served.content).hexdigest()}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Serves `files`, by path, and notes in `asked` which were got."""

    def __init__(self, files: dict[str, Served]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked = files, []
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serve(files: dict[str, Served]) -> Iterator[Server]:
    with Server(files) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
