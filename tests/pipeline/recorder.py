"""Run a script of the repository, which is the current folder, and record what it touches.

    python recorder.py REPORT.json SCRIPT [ARGUMENT …]

Writes sorted lists: `reads` and `writes`, paths in the repository; `outside`, files elsewhere that its own
code opens; `starts`, processes; `calls`, of the network; `consults`, environment variables that its own code
looks up. Files that native code opens, as safetensors does, are not seen.
"""

import atexit
import json
import os
import runpy
import sys
import sysconfig

HERE = __file__  # Python takes the name away before it exits
ROOT = os.path.realpath(".")
STANDARD_LIBRARY = sysconfig.get_path("stdlib")
IMPORTS = ("<frozen importlib", os.path.join(STANDARD_LIBRARY, "importlib"))  # noqa: PTH118 (all text here)

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LISTS = ("os.listdir", "os.scandir")
WRITES = ("os.mkdir", "os.remove", "os.rmdir", "os.truncate")
WRITES_TWO = ("os.link", "os.rename", "os.symlink")
STARTS = ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen")

report: dict[str, set[str]] = {key: set() for key in ("reads", "writes", "outside", "starts", "calls", "consults")}


def record(event: str, arguments: tuple) -> None:
    """The audit hook: Python calls it before it opens a file, starts a process and so on."""
    if event == "open":
        path, _, flags = arguments
        record_path("writes" if flags & WRITING else "reads", path)
    elif event in LISTS:
        # Imports list every folder of sys.path; torch also looks for its libraries in folders below each of them.
        importing = sys._getframe(1).f_code.co_filename.startswith(IMPORTS)
        if not importing and os.path.isdir(arguments[0] or "."):  # noqa: PTH112
            record_path("reads", arguments[0] or ".")
    elif event in WRITES or event in WRITES_TWO:
        for path in arguments[: 2 if event in WRITES_TWO else 1]:
            record_path("writes", path)
    elif event in STARTS:
        report["starts"].add(" ".join(map(str, arguments[1])) if event == "subprocess.Popen" else event)
    elif event.startswith("socket."):
        report["calls"].add(event)


def record_path(kind: str, path: str | bytes | int) -> None:
    if isinstance(path, int):  # a file that is open already
        return
    path = os.path.realpath(os.fsdecode(path))
    if f"{path}/".startswith(f"{ROOT}/"):
        report[kind].add(os.path.relpath(path, ROOT))
    elif called_by_the_repository():
        report["outside"].add(path)


def called_by_the_repository() -> bool:
    """Whether the innermost frame that is not of the standard library runs code of the repository."""
    frame = sys._getframe(2)
    while frame:
        file = frame.f_code.co_filename
        if file.startswith(f"{ROOT}/"):
            return True
        standard = file.startswith((STANDARD_LIBRARY, "<")) and "site-packages" not in file
        if file.startswith(IMPORTS) or not (standard or file == HERE):  # what an import does, the package does
            return False
        frame = frame.f_back
    return False


def look_up(environment: os._Environ, name: str | bytes) -> str | bytes:
    if called_by_the_repository():
        report["consults"].add(os.fsdecode(name))
    return plain_look_up(environment, name)


def write_report(path: str) -> None:
    lists = {key: sorted(values) for key, values in report.items()}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(lists, file, indent=2)


if __name__ == "__main__":
    _, target, script, *rest = sys.argv
    script_path = os.path.join(ROOT, script)  # noqa: PTH118
    sys.argv, sys.path[0] = [script, *rest], os.path.dirname(script_path)  # noqa: PTH120
    atexit.register(write_report, target)
    plain_look_up = os._Environ.__getitem__
    os._Environ.__getitem__ = look_up
    sys.addaudithook(record)
    runpy.run_path(script_path, run_name="__main__")
