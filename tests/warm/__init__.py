"""A warm process: the tests' `python` and `dvc` are forked from it, and need not import torch, which takes seconds.

`server.py` has imported everything; `client.py`, which stands for `python` and `dvc` on the PATH, passes it what a
process has when it starts and waits for the end of the fork. What a started process itself is or has (its limits, its
privileges, its locale, how it dies with others) is the client's and not the fork's: where that is what a test is about,
as in tests/faults, it starts Python itself.
"""

import shlex
import subprocess
import sys
from pathlib import Path

PROGRAMS = ("python", "dvc")


def start_server(folder: Path) -> tuple[subprocess.Popen, Path]:
    """Start the warm process, which ends with its standard input.

    Returns it and a folder for the PATH, with PROGRAMS that use it.
    """
    here, socket = Path(__file__).parent, folder / "socket"
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name in PROGRAMS:
        real = Path(sys.executable).with_name(name)
        client = shlex.join(map(str, [sys.executable, "-IS", here / "client.py", socket, real]))
        (programs / name).write_text(f'#!/bin/sh\nexec {client} "$@"\n')
        (programs / name).chmod(0o755)
    command = [sys.executable, here / "server.py", socket, programs / "python"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", start_new_session=True)
    server.stdout.read()  # to its end: it listens
    return server, programs
