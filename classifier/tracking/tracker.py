"""Training and evaluation as runs in Weights & Biases, with or without an account.

W&B works in a process of its own (classifier/tracking/process.py): it cannot change a result, raise here or hold
up a step. The messages for it are kept, so that if it fails or hangs, a second one writes an offline run
of them all. The environment configures it, by W&B's own variables: WANDB_MODE=disabled, WANDB_PROJECT …
Nothing here is a parameter, and no file here is a dependency of a stage: see docs/tracking.md.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from classifier.errors import InputError
from classifier.paths import PARAMS
from classifier.reading import read_yaml

ROOT = Path(__file__).resolve().parents[2]
# Seconds that finish() waits for the run; then again, while a spare process starts; then for the spare's offline run.
PATIENCE = 2, 5, 3


class Tracker:
    """One stage's part of a run. No method raises, and only finish() waits, for ten seconds at most."""

    def __init__(self, process: subprocess.Popen | None = None):
        self._process = process
        self._messages: list[bytes] = []

    def log(self, **values: Any) -> None:
        """Add a row, one for each epoch, of numbers or of lists with a number for each class."""
        self._send(log=values)

    def finish(self) -> None:
        """End the run well, and print where it is. A run that is never finished counts as failed."""
        if not self._process:
            return
        try:
            self._send(end=True)
            report = _report(self._process, PATIENCE[0])
            if not report or "failed" in report:
                report = self._finish_with_spare(self._process, report)
        except KeyboardInterrupt:  # the stage has done its work
            report = {"because": "interrupted"}
        _kill(self._process)
        self._process = None
        print(closing_line(report), flush=True)

    def _finish_with_spare(self, process: subprocess.Popen, report: dict[str, Any]) -> dict[str, Any]:
        try:
            spare = _spawn(WANDB_MODE="offline")
        except OSError as error:
            return {"because": str(error)}
        report = report or _report(process, PATIENCE[1])
        if not report or "failed" in report:
            _kill(process)
            because = report.get("failed", "W&B failed or did not answer in time")
            report = _report(spare, PATIENCE[2], b"".join(self._messages)) | {"because": because}
        _kill(spare)
        return report

    def _send(self, **message: Any) -> None:
        if not (self._process and self._process.stdin):
            return
        line = json.dumps(message, default=str).encode() + b"\n"
        self._messages.append(line)
        try:
            written = self._process.stdin.write(line)
        except OSError:
            written = None
        if written != len(line):  # it died or reads no more
            _kill(self._process)


def start_run(stage: str, environment: dict[str, Any]) -> Tracker:
    """Begin the run of a training, or for the stage `evaluate` go on with the run of the model's training.

    `environment` is logged with the run's parameters: where it is made (classifier/reproducibility.py).
    """
    if os.environ.get("WANDB_MODE") == "disabled":
        return Tracker()
    spec = find_spec("wandb")
    if not (spec and spec.origin):  # a folder wandb/ of runs looks like a package, but has no origin
        print("W&B: not installed, so this run is not tracked")
        return Tracker()
    try:
        params = read_yaml(PARAMS)
        tracker = Tracker(process := _spawn())
        if process.stdin:
            os.set_blocking(process.stdin.fileno(), False)
        tracker._send(stage=stage, params=params, environment=environment)
    except (OSError, InputError) as error:
        print(closing_line({"because": str(error)}))
        return Tracker()
    return tracker


def closing_line(report: dict[str, Any]) -> str:
    """What people are told of a run at its end."""
    because = f" ({report['because']})" if report.get("because") else ""
    if "url" in report:
        return f"W&B: {report['url']}"
    if "folders" in report:
        return f"W&B: offline run{because}. `wandb sync {' '.join(map(_shortest, report['folders']))}` uploads it"
    if "disabled" in report:
        return "W&B: disabled"
    return f"W&B: this run is not tracked{because}"


def _shortest(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _spawn(**environment: str) -> subprocess.Popen:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "classifier.tracking.process"],
        env=os.environ | {"PYTHONPATH": path} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,  # Ctrl+C is for the stage; its end tells the run
    )


def _report(process: subprocess.Popen, seconds: float, messages: bytes | None = None) -> dict[str, Any]:
    """What the process prints, or {} if it fails to within `seconds`."""
    try:
        output, _ = process.communicate(messages, timeout=seconds)
    except subprocess.TimeoutExpired as expired:
        output = expired.output
    except (OSError, ValueError):  # it is gone
        output = None
    try:
        return json.loads(output or b"{}")
    except ValueError:
        return {}


def _kill(process: subprocess.Popen) -> None:
    if process.poll() is None:
        with suppress(OSError, subprocess.TimeoutExpired):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(1)
