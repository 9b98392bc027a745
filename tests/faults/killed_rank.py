"""Run a training and kill one of its processes before a step: killed_rank.py RANK STEP SCRIPT"""

import os
import runpy
import signal
import sys

_, rank, left, script = sys.argv
sys.path.insert(0, os.getcwd())  # noqa: PTH109 (the code of this folder)

from classifier.training.loop import Trainer

train_step, steps = Trainer.train_step, [None] * int(left)


def count(*arguments: object) -> object:
    if not steps and os.environ["RANK"] == rank:
        os.kill(os.getpid(), signal.SIGKILL)
    del steps[-1:]
    return train_step(*arguments)


Trainer.train_step = count
sys.argv = [script]
runpy.run_path(script, run_name="__main__")
