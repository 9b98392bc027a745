"""One trial of a W&B sweep as a DVC experiment; sweep.yaml makes W&B's agent call it.

    wandb sweep sweep.yaml
    wandb agent SWEEP

Each argument --SECTION.KEY=VALUE sets a value of params.yaml for this trial only, which runs beside the
workspace. The experiment is called after the run: `dvc exp apply sweep-RUN` takes the best one over.
"""

import argparse
import os
import re
import sys

from classifier.config import STAGES
from classifier.errors import InputError, run

WEIGHT = "train.class_weights."  # before the name of a class
# Names that DVC's grammar for --set-param takes as they are written; it refuses or splits the others.
NAMEABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*|0|[1-9][0-9_]*")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _, settings = parser.parse_known_args()
    command = experiment(settings, os.environ.get("WANDB_RUN_ID"))
    print("$ dvc", *command, flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "dvc", *command])


def experiment(settings: list[str], run_id: str | None) -> list[str]:
    """The arguments of `dvc` that run one trial.

    Raises:
        InputError: for an argument that is not --SECTION.KEY=VALUE, or names a class that DVC cannot name.
    """
    command = ["exp", "run", "--temp"]
    if run_id:
        command += ["--name", f"sweep-{run_id}"]
    for setting in settings:
        name, equals, _ = setting.removeprefix("--").partition("=")
        if not (setting.startswith("--") and equals and name.partition(".")[0] in STAGES):
            raise InputError(f"{setting}: must be --SECTION.KEY=VALUE, with a section of params.yaml.")
        if name.startswith(WEIGHT) and not NAMEABLE.fullmatch(name.removeprefix(WEIGHT)):
            raise InputError(
                f"{setting}: `dvc exp run --set-param` takes no class called {name.removeprefix(WEIGHT)!r}: "
                "write its weight into params.yaml, with the name in quotes."
            )
        command += ["--set-param", f"++{setting.removeprefix('--')}"]  # ++ also adds keys, such as class weights
    return command


if __name__ == "__main__":
    run(main)
