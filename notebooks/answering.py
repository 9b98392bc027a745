"""One process answers for all visitors of the page: with torch and DVC, the process of each would be six times as large
and slow to start. scripts/present.py starts it; without it, as in JupyterLab, a notebook answers for itself.

Questions come through a socket in a folder that only its owner may enter, and are answered one after the other, so that
no more than one image is decoded at a time.

    python -m notebooks.answering SOCKET    # ends when its input does
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from multiprocessing.connection import Client, Listener
from threading import Thread
from typing import Any

from classifier.errors import InputError
from notebooks import results
from notebooks.results import Ask, Results

import numpy as np
import pandas as pd

SOCKET = "CLASSIFIER_PAGE_SOCKET"  # the environment variable in which scripts/present.py says where to ask
BASELINE = "baseline"  # the revision to compare with, if there is one
WAITING = 64  # questions that may wait while one is answered


def load_model(shown: Results) -> Ask:
    """The model to ask: that of the process for all visitors, or one in this process.

    Raises:
        InputError: if it cannot be used, or the results are those of another model.
    """
    return partial(question, "model") if SOCKET in os.environ else results.load_model(shown)


def before() -> pd.DataFrame:
    """The predictions of BASELINE.

    Raises:
        InputError: if there are none.
    """
    return question("before") if SOCKET in os.environ else read_before()


def question(name: str, *arguments: Any) -> Any:
    """Ask the process for all visitors.

    Raises:
        InputError, ValueError: as the function there does; InputError also if it does not answer.
    """
    try:
        with Client(os.environ[SOCKET]) as process:
            process.send((name, *arguments))
            value, error = process.recv()
    except (EOFError, OSError):  # it has ended, perhaps of this very image; another starts
        raise InputError("The model does not answer just now: try again in a moment.") from None
    if error:
        raise error
    return value


def ask_model(image: bytes | np.ndarray) -> tuple[np.ndarray, pd.Series]:
    return current_model(results.modified())(image)


@lru_cache(maxsize=1)
def current_model(modified: float | None) -> Ask:
    """The model of the results in the workspace, loaded again when these are new."""
    return results.load_model(results.load_results())


def read_before() -> pd.DataFrame:
    from classifier.runs.runs import read_predictions  # DVC, which takes seconds

    return read_predictions(BASELINE)


FUNCTIONS: dict[str, Callable] = {"model": ask_model, "before": read_before}


def answer(name: str, *arguments: Any) -> tuple[Any, Exception | None]:
    """What one of FUNCTIONS returns, or the error that people are told."""
    try:
        return FUNCTIONS[name](*arguments), None
    except (InputError, ValueError) as error:
        return None, error


def serve(address: str) -> None:
    """Answer, one question after the other."""
    with Listener(address, "AF_UNIX", WAITING) as listener:
        answer("model", b"")  # loads it; nothing is no image
        while True:
            with suppress(EOFError, OSError), listener.accept() as visitor:  # who may leave before the answer
                visitor.send(answer(*visitor.recv()))


def main(address: str) -> None:
    """Answer until whoever started this process has ended, by whatever means."""
    Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    serve(address)


if __name__ == "__main__":
    main(*sys.argv[1:])
