"""How long W&B holds training up: in each way that it can fail, and when all is well.

    python bench/tracking.py [--rounds 5]

Trains a small network on handwritten digits in this process. First for each failure: the seconds that
training spends in classifier/tracking/tracker.py, almost all in Tracker.finish(). It is one epoch, over before W&B
has started, so that all of its start is in the delay: the worst case. Then, taking turns, a training of some
two minutes with an offline run and with none: the ratio of the median times, which says something on a quiet
machine only, and the processor time that W&B's processes take.
"""

import argparse
import contextlib
import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

import prepare
import train
from classifier.tracking import tracker as tracking
from tests.wandb_failures import FAILURES
from tests.wandb_server import WandbServer

import yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ |= {"HOME": folder, "DEVICE": "cpu", "WANDB_ERROR_REPORTING": "false"}
        os.environ.pop("WANDB_API_KEY", None)
        subprocess.run([sys.executable, ROOT / "scripts" / "get_data.py", "digits"], check=True, capture_output=True)
        write_params(epochs=1)
        with contextlib.redirect_stdout(io.StringIO()):
            prepare.main()
        measure_failures()
        write_params(epochs=400)
        measure_overhead(rounds)


def write_params(epochs: int) -> None:
    params = yaml.safe_load((ROOT / "recipes" / "digits.yaml").read_text())
    params["train"]["epochs"] = epochs
    Path("params.yaml").write_text(yaml.safe_dump(params))


def measure_failures() -> None:
    """Print a table: the failure, the delay, and what people were told."""
    cases = [
        ("disabled", lambda enter: {"WANDB_MODE": "disabled"}),
        ("offline", lambda enter: {"WANDB_MODE": "offline"}),
    ]
    cases += [("online", lambda enter: enter(WandbServer()).environment)]
    cases += [(failure.__name__.replace("_", " "), failure) for failure in FAILURES]
    print("| case | delay, s | told |\n| --- | --- | --- |")
    for name, failure in cases:
        with contextlib.ExitStack() as stack, environment(failure(stack.enter_context)):
            delay, _, told = run()
        print(f"| {name} | {delay:.1f} | {told[:110]} |", flush=True)
    with replaced(tracking, "find_spec", lambda name: None), environment({"WANDB_MODE": "online"}):
        delay, _, told = run()
    print(f"| the package is missing | {delay:.1f} | {told} |")


def measure_overhead(rounds: int) -> None:
    times: dict[str, list[float]] = {"disabled": [], "offline": []}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(rounds):
        for mode, measured in times.items():
            with environment({"WANDB_MODE": mode}):
                measured.append(run()[1])
    off, on = (statistics.median(times[mode]) for mode in times)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / rounds
    print(f"training: {off:.1f} s without tracking, {on:.1f} s with it, ratio {on / off:.2f}")
    print(f"W&B's processes: {processor:.1f} s of processor time for each training")


def run() -> tuple[float, float, str]:
    """Train once; returns the seconds in classifier/tracking/tracker.py, those of the training, and its last line."""
    waiting, output = 0.0, io.StringIO()

    def timed(function: Callable) -> Callable:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal waiting
            start = time.monotonic()
            result = function(*arguments, **named)
            waiting += time.monotonic() - start
            return result

        return call

    with (
        replaced(train, "start_run", timed(tracking.start_run)),
        replaced(tracking.Tracker, "log", timed(tracking.Tracker.log)),
        replaced(tracking.Tracker, "finish", timed(tracking.Tracker.finish)),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        start = time.monotonic()
        train.main()
        total = time.monotonic() - start
    return waiting, total, output.getvalue().splitlines()[-1]


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


if __name__ == "__main__":
    main()
