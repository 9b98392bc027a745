"""Does a change keep the bits? Run the stages of another revision and those of the working tree, and compare.

    python bench/bits.py [REV] [--data FOLDER]

REV is a branch, tag or commit; without one it is HEAD, and what is not committed is judged. Both train on handwritten
digits with the digits.yaml that they bring, or with --data on a dataset of your own, for one epoch of their own
params.yaml. Prints the SHA-256 of each file that the stages write, and exits with 1 if one differs. Of the model the
weights are compared, their names, types, shapes and values: a new field in its description changes no answer.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from classifier.files import sha256

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = ("prepared/*", "models/*", "plots/*", "metrics.json", "predictions.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rev", nargs="?", metavar="REV", default="HEAD")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="a dataset in a layout that prepare.py knows")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "code"
        subprocess.run(["git", "clone", "--quiet", "--no-checkout", ROOT, old], check=True)
        commit = subprocess.check_output(["git", "rev-parse", f"{arguments.rev}^{{commit}}"], cwd=ROOT, text=True)
        subprocess.run(["git", "checkout", "--quiet", commit.strip()], cwd=old, check=True)
        before = run_stages(old, Path(folder) / "before", arguments.data)
        after = run_stages(ROOT, Path(folder) / "after", arguments.data)
    differs = [name for name in before | after if before.get(name) != after.get(name)]
    print(f"{'':7}  {arguments.rev[:12]:12}  {'now':12}  file")
    for name in before | after:
        verdict = "differs" if name in differs else "same"
        print(f"{verdict:7}  {before.get(name, '-')[:12]:12}  {after.get(name, '-')[:12]:12}  {name}")
    sys.exit(bool(differs))


def run_stages(code: Path, workspace: Path, data: Path | None) -> dict[str, str]:
    """Run the stages of the project in `code` in the new folder `workspace`; returns the digest of what they write."""
    workspace.mkdir()
    if data:
        shutil.copytree(data, workspace / "data")
        params = re.sub(r"(?m)^  epochs: \d+", "  epochs: 1", (code / "params.yaml").read_text())
    else:
        params = next(code.glob("*/digits.yaml")).read_text()
    (workspace / "params.yaml").write_text(params)
    environment = {name: value for name, value in os.environ.items() if name != "DVC_ROOT"} | {"WANDB_MODE": "disabled"}
    digits = [] if data else [("scripts/get_data.py", "digits")]
    for script, *options in [*digits, ("prepare.py",), ("train.py",), ("evaluate.py",)]:
        subprocess.run([sys.executable, code / script, *options], cwd=workspace, env=environment, check=True)
    files = [path for pattern in WRITTEN for path in sorted(workspace.glob(pattern))]
    return {str(path.relative_to(workspace)): digest(path) for path in files}


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of a checkpoint's weights."""
    if path.parent.name != "models":
        return sha256(path)
    found = hashlib.sha256()
    for name, tensor in sorted(load_file(path).items()):
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        found.update(tensor.flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


if __name__ == "__main__":
    main()
