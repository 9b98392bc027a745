"""`import root` makes the repository root the working folder of a notebook, as it is for every script.

Kernels import from their working folder before all else: from then on, that is the copy of the project that the
notebook lies in, whichever is installed.
"""

import os
from pathlib import Path

os.chdir(Path(__file__).resolve().parents[1])
