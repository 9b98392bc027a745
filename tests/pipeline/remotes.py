"""Remotes that live as long as a `with` block: a folder, OpenSSH's sshd, an S3 server and a static web server.

Each function yields what a user sets with `dvc remote modify storage KEY VALUE`, `url` among it.
"""

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

Settings = dict[str, str]
# Test-only: the S3 server takes any.
CREDENTIALS = {"access_key_id": "test", "secret_access_key": "test"}


@contextmanager
def folder(path: Path) -> Iterator[Settings]:
    yield {"url": str(path / "store")}


@contextmanager
def ssh(path: Path) -> Iterator[Settings]:
    """sshd as the current user, with keys and a configuration of its own, for files below `path`."""
    server = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if not server:
        pytest.skip("there is no sshd: install OpenSSH's server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # which sshd wants of root, as the service makes it
    for name in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path / name], check=True)
    with closed_port() as port:
        config = {
            "ListenAddress": f"127.0.0.1:{port}",
            "HostKey": path / "host",
            "AuthorizedKeysFile": path / "user.pub",
            "PidFile": "none",
            "StrictModes": "no",  # pytest's folders are below /tmp
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "yes",
            "Subsystem": "sftp internal-sftp",
        }
    (path / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in config.items()))
    log = path / "sshd.log"
    with subprocess.Popen([server, "-D", "-f", path / "sshd_config", "-E", log]) as process:
        try:
            while not answers(port):
                assert process.poll() is None, log.read_text()
                time.sleep(0.02)
            url = f"ssh://127.0.0.1:{port}{path}/store"
            yield {"url": url, "user": getpass.getuser(), "keyfile": str(path / "user")}
        finally:
            process.terminate()


@contextmanager
def s3(path: Path) -> Iterator[Settings]:
    import requests
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        # moto's servers of one process share what they hold, and whether they check keys.
        requests.post(f"{endpoint}/moto-api/reset", timeout=10)
        requests.post(f"{endpoint}/moto-api/reset-auth", data=b"inf", timeout=10)
        settings = {"endpointurl": endpoint, "region": "us-east-1", **CREDENTIALS}
        bucket(settings).create()
        yield {"url": "s3://bucket/image-classifier", **settings}
    finally:
        server.stop()


def bucket(settings: Settings):
    """The S3 server's only bucket."""
    import boto3

    names = {"endpoint_url": "endpointurl", "region_name": "region"}
    names |= {f"aws_{name}": name for name in CREDENTIALS}
    return boto3.resource("s3", **{name: settings[key] for name, key in names.items()}).Bucket("bucket")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


@contextmanager
def http(path: Path) -> Iterator[Settings]:
    """A web server that only reads, over what is in the folder's remote."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=path / "store")) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield {"url": f"http://127.0.0.1:{server.server_port}"}
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def dying(settings: Settings, limit: int) -> Iterator[Settings]:
    """Another address for a remote, which is gone when `limit` bytes have been sent there, if within a message."""
    key = "endpointurl" if "endpointurl" in settings else "url"
    port = urlsplit(settings[key]).port
    left, turn, ends = limit, threading.Lock(), []

    def pass_on(source: socket.socket, target: socket.socket, counted: bool) -> None:
        nonlocal left
        with suppress(OSError):  # the other direction has ended, or all have
            while left and (data := source.recv(2**16)):
                with turn:
                    data = data[:left]
                    left -= len(data) * counted
                target.sendall(data)
        for end in (source, target) if left else (server, *ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while left:
                ends.extend((near := server.accept()[0], far := socket.create_connection(("127.0.0.1", port))))
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=pass_on, args=[source, target, source is near], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield settings | {key: settings[key].replace(f":{port}", f":{server.getsockname()[1]}")}
        for end in ends:
            end.close()


@contextmanager
def closed_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield port


@contextmanager
def silent_port() -> Iterator[int]:
    """Connections are accepted, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
