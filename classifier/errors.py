"""The one exception that people cause, and how a script ends when it is raised."""

import os
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches


class InputError(Exception):
    """Bad input: the message is a sentence that names the file, the value and the remedy."""


def run(main: Callable[[], None], together: bool = False) -> None:
    """Run a script's main(): bad input and Ctrl+C become one message and exit status 1, not a traceback.

    Several processes, as torchrun starts them, are refused unless they know how to work `together`.
    """
    if not together and os.environ.get("WORLD_SIZE", "1") != "1":
        sys.exit(f"error: {sys.argv[0]} works in one process: start it with `python`. LAUNCH is for train.py alone.")
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def nearest(name: str, known: Iterable[str]) -> str:
    """What to append to an "unknown name" message: the nearest known name, or all of them."""
    known = [str(k) for k in known]
    close = get_close_matches(str(name), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
