"""What the stages, the scripts and the notebooks share. Imports point one way:

the modules here  ←  data  ←  network  ←  training            (what the stages run)
                  ←  results  ←  runs, tracking               (what is made of a model's answers)
"""

import sys
from importlib.util import find_spec

# Stages are started by name ("python train.py"), so the wrong interpreter is the commonest slip.
# This runs before any other import and needs only the standard library.
_missing = [name for name in ("numpy", "PIL", "safetensors", "torch", "tqdm", "yaml") if not find_spec(name)]
if sys.version_info < (3, 11) or _missing:
    _reason = f"has no {', '.join(_missing)}" if _missing else "is older than 3.11"
    sys.exit(
        f"error: this Python ({sys.executable}) {_reason}: activate the project's environment "
        "with `source .venv/bin/activate` (`make setup` creates it)."
    )
