"""Scripts as processes that start cold and end in time, for bench/gpu.py."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


class NoTimeLeft(Exception):
    """The time that was given is over."""


@dataclass
class Bench:
    """A folder for what is measured, the moment (of time.monotonic) when all must be done, and whether on a GPU."""

    folder: Path
    end: float
    on_gpu: bool

    def python(self, workspace: Path, *command: Any) -> tuple[str, float]:
        """What a Python script prints that runs in `workspace`, and the seconds it takes.

        Raises:
            NoTimeLeft: if it does not end in time.
            InputError: if it fails, with what it printed.
        """
        environment = {k: v for k, v in os.environ.items() if k not in ("DVC_ROOT", "TRITON_CACHE_DIR")}
        environment |= {"WANDB_MODE": "disabled", "PYTHONPATH": str(ROOT)}
        with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile("w+", errors="replace") as log:
            environment["TORCHINDUCTOR_CACHE_DIR"] = cache  # what was compiled before is not found
            arguments = [sys.executable, *map(str, command)]
            start = time.monotonic()
            process = subprocess.Popen(
                arguments, cwd=workspace, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                status = process.wait(max(0.0, self.end - start))
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)  # with those that compile for it
                process.wait()
                raise NoTimeLeft if isinstance(error, subprocess.TimeoutExpired) else error from None
            seconds = time.monotonic() - start
            log.seek(0)
            printed = log.read()
        if status:
            raise InputError(f"{' '.join(arguments[1:])} failed:\n{printed[-3000:]}")
        return printed, seconds

    def measure(self, workspace: Path, script: Path) -> tuple[str, float, str]:
        """The same, and the peak of the GPU memory that tensors take: gigabytes as text, or - without a GPU."""
        file = workspace / "peak"
        printed, seconds = self.python(workspace, ROOT / "bench/peak.py", file, script)
        return printed, seconds, f"{int(file.read_text()) / 1e9:.2f}" if self.on_gpu else "-"
