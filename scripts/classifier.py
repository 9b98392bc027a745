"""`import classifier` in a script, whose own folder Python searches first, means the package beside that folder.

The project is installed, so this finds nothing that is not found without it. But a script of a clone may be run in
another clone's environment, and by a Python that has none: it takes the code that belongs to it, which then says in
one sentence what is missing.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

spec = PathFinder.find_spec(__name__, [str(Path(__file__).resolve().parents[1])])
sys.modules[__name__] = package = module_from_spec(spec)
spec.loader.exec_module(package)
