"""scripts/present.py, run for a test."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.clones import Clone


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
