"""The one exception that people cause, and how a script ends when it is raised, or when anything else goes wrong."""

import datetime
import io
import os
import platform
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from reprlib import Repr
from typing import Any


class InputError(Exception):
    """Bad input: the message is a sentence that names the file, the value and the remedy."""


def run(main: Callable[[], None], together: bool = False) -> None:
    """Run a script's main(): whatever goes wrong becomes one message and exit status 1, not a traceback.

    What nobody foresaw is reported as a fault of this program. By then every temporary file is gone: they are
    removed on the exception's way here. Several processes, as torchrun starts them, are refused unless they know how
    to work `together`.
    """
    if not together and os.environ.get("WORLD_SIZE", "1") != "1":
        sys.exit(f"error: {sys.argv[0]} works in one process: start it with `python`. LAUNCH is for train.py alone.")
    for stream in (sys.stdout, sys.stderr):  # names of files may be any bytes, and a terminal may know ASCII alone
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
        sys.stdout.flush()  # here, where what fails is said
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None:
            # Perhaps it was the output, whose rest could not be written at the end either.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the end of the process)
        if isinstance(error, BrokenPipeError):  # whoever read it has left, such as `| head`
            sys.exit(1)
        sys.exit(f"error: {_explain(error)}")


def _explain(error: Exception) -> str:
    """What to say of an exception that no code expected."""
    if out_of_memory(error):
        return (
            f"this machine has not enough memory for this ({one_line(error)}): take smaller images or a smaller batch."
        )
    if isinstance(error, OSError) and error.strerror:  # what the operating system refuses is no fault of this program
        return f"{error.filename or 'this machine'}: {error.strerror}."
    summary = f"{type(error).__name__}: {one_line(error)}"
    return f"this is a fault of this program, which did not expect {summary}\n  {_report(error)}"


def out_of_memory(error: Exception) -> bool:
    """Whether there was no memory left, of the machine or of a GPU."""
    return (
        isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate" in str(error)
    )


def _report(error: Exception) -> str:
    """Write down what whoever mends the fault needs; returns what to do with it."""
    root, command = Path(__file__).parents[1], [Path(sys.argv[0]).name, *sys.argv[1:]]
    loaded = [(name, getattr(sys.modules.get(name), "__version__", None)) for name in ("torch", "numpy", "PIL", "timm")]
    versions = [f"Python {platform.python_version()}", platform.platform()]
    versions += [f"{name} {version}" for name, version in loaded if version]
    with suppress(OSError, subprocess.SubprocessError):
        described = ["git", "-C", str(root), "describe", "--always", "--dirty"]
        commit = subprocess.run(described, capture_output=True, encoding="utf-8", errors="replace", timeout=5).stdout
        versions.insert(0, f"this project at {commit.strip() or 'an unknown commit'}")
    trace = "".join(traceback.format_exception(error))
    text = f"command: {' '.join(command)}\nversions: {', '.join(versions)}\n\n{trace}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="fault-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:  # a full disk, perhaps
        return f"Please report it with what follows.\n{text}"
    return f"Please report it with the file {file.name}, which says what was run and where it failed."


_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 80, 80, 40


def shown(value: Any) -> str:
    """A value as a message may have it: as Python writes it, on one line, without control characters, and not long."""
    if isinstance(value, datetime.date):
        return f"the date {value}, as YAML reads it without quotes"
    try:
        text = _SHORT.repr(value).encode("utf-8", "backslashreplace").decode()
        return text if len(text) <= 160 else f"{text[:150]} …"
    except ValueError:  # a number of more digits than Python writes
        return "a number of thousands of digits"


def one_line(error: Exception) -> str:
    """What an exception of a library says, or its name: on one line, printable, and not long."""
    said = " ".join(str(error).split())[:300] or type(error).__name__
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in said)


def counted(number: int, noun: str) -> str:
    """1 image, 2,000 images or 3 classes."""
    return f"{number:,} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"


def key_shown(key: Any) -> str:
    """The name of a key as a message may have it: as it stands, unless it is odd."""
    return key if isinstance(key, str) and key.isprintable() and len(key) <= 300 else shown(key)


def nearest(name: str, known: Iterable[str]) -> str:
    """What to append to an "unknown name" message: the nearest known name, or all of them."""
    known = [str(k) for k in known]
    close = get_close_matches(key_shown(name), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
