"""Run a training to which something happens in one of its processes: at_step.py RANK STEP WHAT SCRIPT

STEP counts from the first of all, and may have a fraction: then it happens so much of a step later. WHAT is the name of
a signal, "full disk", or "wait": until the file `reached` is gone. Processes but the first fail where they open results
to write them.
"""

import os
import resource
import runpy
import signal
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

_, rank, moment, what, script = sys.argv
sys.path.insert(0, os.getcwd())  # noqa: PTH109 (the code of this folder)

from classifier.training import distributed
from classifier.training.loop import Trainer

before, fraction = divmod(float(moment), 1)
train_step, begun = Trainer.train_step, []


def happen() -> None:
    if what == "full disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    elif what == "wait":
        Path("reached").touch()
        while Path("reached").exists():
            time.sleep(0.01)
    else:
        os.kill(os.getpid(), signal.Signals[what])


def count(*arguments: object) -> object:
    begun.append(time.monotonic())
    if len(begun) == before + 1 and os.environ["RANK"] == rank:
        if fraction:
            threading.Timer(fraction * (begun[-1] - begun[-2]), happen).start()
        else:
            happen()
    return train_step(*arguments)


def refuse_to_write(event: str, arguments: tuple) -> None:
    """The audit hook: Python calls it before it opens a file."""
    if event != "open" or os.environ["RANK"] == "0" or not arguments[2] & (os.O_WRONLY | os.O_RDWR):
        return
    if isinstance(arguments[0], str) and {"models", "plots", ".resume", "wandb"} & set(Path(arguments[0]).parts):
        raise RuntimeError(f"process {os.environ['RANK']} writes {arguments[0]}")


sys.addaudithook(refuse_to_write)
Trainer.train_step = count
if what == "SIGSTOP":
    distributed.PATIENCE = timedelta(seconds=30)  # in which also busy machines start
sys.argv = [script]
runpy.run_path(script, run_name="__main__")
