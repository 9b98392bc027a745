"""The warm process: server.py SOCKET PYTHON

For each client it forks, and the fork runs the client's script as `python SCRIPT` does. It imports what stages and DVC
import when the first client comes, and ends when its standard input does. PYTHON is what forks take for theirs.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import threading
from contextlib import suppress

MODULES = (
    "dvc.cli.parser",
    "dvc.repo",
    "dvc.repo.experiments",
    "kombu.transport.filesystem",
    "matplotlib.figure",
    "pandas",
    "PIL.Image",
    "ruamel.yaml",
    "safetensors.torch",
    "scipy.optimize",
    "sklearn.metrics",
    "timm",
    "torch._dynamo",
    "torchvision",
    "tqdm",
)


def main(address: str, python: str) -> None:
    running: dict[int, tuple[int, socket.socket]] = {}  # a descriptor that tells of a fork's end → its PID and client
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        os.close(1)  # a sign to who started this
        os.open(os.devnull, os.O_WRONLY)
        while 0 not in (ready := select.select([0, listener, *running, *(c for _, c in running.values())], [], [])[0]):
            for end, (pid, client) in list(running.items()):
                if end in ready:
                    _, status = os.waitpid(pid, 0)
                    with suppress(BrokenPipeError):
                        client.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
                    client.close()
                    os.close(end)
                    del running[end]
                elif client in ready:
                    signals = client.recv(1) or signal.SIGKILL.to_bytes()  # when the client dies, so does its fork
                    os.killpg(pid, signals[0])
            if listener in ready:
                for name in MODULES:  # those that are there already take no time
                    importlib.import_module(name)
                gc.freeze()  # else each fork's first collection copies all that was imported
                client, _ = listener.accept()
                size, descriptors, _, _ = socket.recv_fds(client, 4, 3)
                start = json.loads(client.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
                if (pid := os.fork()) == 0:
                    break
                os.setpgid(pid, pid)  # here and in the fork, whichever comes first
                running[os.pidfd_open(pid)] = pid, client
                for descriptor in descriptors:
                    os.close(descriptor)
        else:
            return
    for end, (_, other) in running.items():
        os.close(end)
        other.close()
    client.close()
    become(start, descriptors, python)
    leave(run_script())


def become(start: dict, descriptors: list[int], python: str) -> None:
    """Take over what a process has when it starts."""
    os.setpgid(0, 0)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(start["cwd"])
    os.umask(start["umask"])
    os.environ.clear()
    os.environ.update(start["environ"])
    sys.argv[:] = start["argv"]
    folder = os.path.dirname(os.path.abspath(sys.argv[0]))  # noqa: PTH100, PTH120 (links are kept)
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [folder, *filter(None, own), *sys.path[1:]]
    sys.executable = python
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(line_buffering=True)
    send_whole_messages()


def send_whole_messages() -> None:
    """Let what DVC sends to its queue's workers appear at once.

    Kombu opens a message's file where a worker may read it before anything is written, and such a worker ends, on a
    busy machine about once in thirty queues (docs/reliability.md). That is no fault that a test of ours should have.
    """
    from kombu.transport.filesystem import Channel  # one of MODULES

    put = Channel._put

    def put_whole(self: Channel, queue: str, payload: dict, **kwargs: object) -> None:
        folder = self.data_folder_out
        with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(folder))) as aside:  # noqa: PTH100, PTH120
            self.__dict__["data_folder_out"] = aside
            try:
                put(self, queue, payload, **kwargs)
            finally:
                self.__dict__["data_folder_out"] = folder
            for message in os.listdir(aside):  # noqa: PTH208
                os.rename(os.path.join(aside, message), os.path.join(folder, message))  # noqa: PTH104, PTH118

    Channel._put = put_whole


def run_script() -> int:
    """Run sys.argv; returns its exit status."""
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
            return 1
        return error.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def leave(status: int) -> None:
    """End as Python does, but for taking thousands of modules down one by one, which takes two seconds."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
