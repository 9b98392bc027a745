"""Run a program in a fork of the warm process: client.py SOCKET PROGRAM [ARGUMENT …]

It starts without any package, in hundredths of a second, and ends as the fork ends.
"""

import json
import os
import signal
import socket
import sys


def main(address: str, program: str, *arguments: str) -> None:
    script = [program, *arguments]
    if os.path.basename(program) == "python":  # noqa: PTH119 (pathlib takes longer to import than all the rest)
        script = list(arguments)
        if not script or not script[0].endswith(".py"):
            os.execv(program, [program, *arguments])
    os.umask(umask := os.umask(0))
    folder = os.getcwd()  # noqa: PTH109
    start = json.dumps({"argv": script, "cwd": folder, "environ": dict(os.environ), "umask": umask}).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [len(start).to_bytes(4, "big")], [0, 1, 2])
        server.sendall(start)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: server.sendall(bytes([number])))
        status = int.from_bytes(server.recv(4), "big", signed=True)
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
