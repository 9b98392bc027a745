"""The README's results: the whole pipeline on a dataset, in a scratch clone, once for each seed.

    python bench/seeds.py DATASET [--params recipes/photos-frozen.yaml] [--seeds 0 1 2]

DATASET is a folder in one of the layouts that prepare.py knows; it is copied into a clone of the last
commit. Prints wall time and peak memory of each stage, the metrics of each seed, their mean and
standard deviation, and what a last `dvc repro` says: that nothing is left to do.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
STAGES = ["prepare", "weights", "train", "evaluate"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml", help="a recipe (default: params.yaml)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    dataset, recipe = arguments.dataset.resolve(), arguments.params.resolve()
    os.environ["WANDB_MODE"] = "disabled"  # its processor time is measured elsewhere
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        os.chdir(clone)
        shutil.copytree(dataset, "data")
        shutil.copy(recipe, "params.yaml")
        subprocess.run(["dvc", "add", "--quiet", "data"], check=True)
        costs, results = [], []
        for seed in arguments.seeds:
            set_seed(seed)
            costs += [{"seed": seed, "stage": stage} | run_stage(stage) for stage in STAGES]
            metrics = json.loads(Path("metrics.json").read_text())
            results.append({"seed": seed} | pd.json_normalize(metrics).iloc[0].to_dict())
        print(pd.DataFrame(costs).to_string(index=False))
        table = pd.DataFrame(results).set_index("seed").T
        numbers = table.drop(index=["val.worst_class", "test.worst_class", "note"], errors="ignore").astype(float)
        print(table.assign(mean=numbers.mean(axis=1).round(4), std=numbers.std(axis=1).round(4)).to_string())
        subprocess.run(["dvc", "repro"], check=True)  # the last line should say that nothing is left to do


def set_seed(seed: int) -> None:
    """Set train.seed in params.yaml."""
    params = Path("params.yaml")
    text, count = re.subn(r"(?s)(\ntrain:\n  seed: )\d+", rf"\g<1>{seed}", params.read_text())
    assert count == 1, "params.yaml does not begin its section `train` with `seed`"
    params.write_text(text)


def run_stage(stage: str) -> dict[str, float]:
    """Run one stage with DVC; returns its wall time and the peak memory of its largest process."""
    start = time.monotonic()
    process = subprocess.Popen(["dvc", "repro", "--single-item", stage])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{stage} failed")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return {"seconds": round(time.monotonic() - start, 1), "peak GB": round(usage.ru_maxrss * unit / 1e9, 2)}


if __name__ == "__main__":
    main()
