"""Run a script and write down the peak of the GPU memory that its tensors took, for bench/gpu.py.

    python bench/peak.py FILE SCRIPT

FILE gets a number of bytes; nothing is written where there is no GPU.
"""

import runpy
import sys
from pathlib import Path


def main() -> None:
    file, script = map(Path, sys.argv[1:])
    sys.argv[:] = [str(script)]
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        import torch

        if torch.cuda.is_available():
            file.write_text(str(torch.cuda.max_memory_allocated()))


if __name__ == "__main__":
    main()
