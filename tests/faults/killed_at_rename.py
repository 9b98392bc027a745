"""Run a script and kill it with a signal when it is about to rename the nth file it wrote.

python killed_at_rename.py SIGNAL N SCRIPT
"""

import os
import runpy
import sys

_, number, renames, script = sys.argv
left = int(renames)


def count(event: str, arguments: tuple) -> None:
    """The audit hook: Python calls it before it renames a file."""
    global left
    if event == "os.rename" and str(arguments[0]).endswith(".tmp"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), int(number))


sys.addaudithook(count)
sys.argv = [script]
runpy.run_path(script, run_name="__main__")
