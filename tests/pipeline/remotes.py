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
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

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
    import boto3
    import requests
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        # moto's servers of one process share what they hold, and whether they check keys.
        requests.post(f"{endpoint}/moto-api/reset", timeout=10)
        requests.post(f"{endpoint}/moto-api/reset-auth", data=b"inf", timeout=10)
        boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        ).create_bucket(Bucket="bucket")
        yield {"url": "s3://bucket/image-classifier", "endpointurl": endpoint, "region": "us-east-1", **CREDENTIALS}
    finally:
        server.stop()


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
