"""`import root` makes the repository root the working folder of a notebook, as it is for every script."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
os.chdir(HERE.parent)
sys.path[:0] = [str(folder) for folder in (HERE.parent, HERE) if str(folder) not in sys.path]
