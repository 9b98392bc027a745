"""Do the recorded results come out again? Run the whole pipeline in a temporary copy and compare the bits.

Reads  the repository's files as they are, dvc.lock and, from DVC's cache, the data.
Writes nothing but the copy, in .dvc/tmp/, which is removed at the end, however the run ends.

    python scripts/verify.py     # or `make verify`

Prints what DVC prints, a table of all outputs and a sentence that names the stages to look at.
The exit status is 0 if every output came out again as dvc.lock records it, else 1.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from classifier.config import load_params
from classifier.errors import InputError, run
from classifier.network.pretrained import named_file
from classifier.paths import CHECKPOINT, DATA, LOCK
from classifier.runs.recorded import Lock, changed_inputs, find_data, read_lock, stages
from classifier.runs.runs import require_root

from dvc.config import Config
from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SAME = "same"
DIFFERS = "differs"
FOLLOWS = "differs, as its inputs do"
CHANGED = "changed by hand"
ABSENT = "absent"  # from the workspace only, as in a fresh clone


class Row(NamedTuple):
    """An output and its MD5: in dvc.lock, in the workspace, after the new run."""

    stage: str
    output: str
    recorded: str
    workspace: str | None
    again: str
    verdict: str


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    require_root()
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as SIGHUP is under nohup
            signal.signal(number, stop)
    try:
        with Repo() as repo, tempfile.TemporaryDirectory(prefix="verify-", dir=repo.tmp_dir) as folder:
            copy = Path(folder)
            with lock_repo(repo):
                recorded = read_lock()
                require_current(repo)
                workspace = hash_outputs(repo)
                copy_files(copy, without={str(LOCK), *workspace})
                link_weights(copy)
            run_again(copy, repo.cache.local_cache_dir)
            rows = judge(recorded, workspace, read_lock(copy / LOCK))
            print_table(rows)
            for row in rows:
                if row.output == str(CHECKPOINT) and row.verdict in (DIFFERS, FOLLOWS):
                    intact = row.workspace == row.recorded
                    old = CHECKPOINT if intact else Path(repo.cache.local.oid_to_path(row.recorded))
                    print(compare_environments(old, copy / CHECKPOINT, load_params("train").deterministic))
    except DvcException as error:
        raise InputError(f"DVC says: {error}") from None
    print(conclude(rows))
    sys.exit(any(row.verdict not in (SAME, ABSENT) for row in rows))


def stop(number: int, _: Any) -> None:
    """End on a signal as on any error, so that the copy is removed; a second Ctrl+C does not cut that short."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def require_current(repo: Repo) -> None:
    """Refuse if dvc.lock tells of other code, parameters or data than there are, or if the data is not cached."""
    if changed := changed_inputs(repo):
        raise InputError(f"{', '.join(changed)} changed since {LOCK} was written: run `dvc repro` first.")
    data = find_data(repo)
    if data.changed_cache():
        if data.exists:
            raise InputError(f"{DATA}/ is not in DVC's cache: `dvc commit {DATA}.dvc` puts it there.")
        raise InputError(f"{DATA}/ is neither here nor in DVC's cache: fetch it with `dvc pull {DATA}.dvc`.")


def hash_outputs(repo: Repo) -> dict[str, str | None]:
    """The MD5 of each output as it lies in the workspace, None if it does not."""
    outs = [out for stage in stages(repo) for out in stage.outs]
    return {out.def_path: out.get_hash().value if out.exists else None for out in outs}


def copy_files(target: Path, without: set[str]) -> None:
    """Copy all files that Git knows or would add, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True
    )
    if listed.returncode:
        raise InputError(f"git ls-files failed: {os.fsdecode(listed.stderr).strip()}")
    for name in os.fsdecode(listed.stdout).split("\0"):
        if name not in without and Path(name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, target / name)


def link_weights(target: Path) -> None:
    """Link the file in this repository that train.pretrained may name, which Git does not know where it is ignored."""
    named = named_file(load_params("train").pretrained)
    if named and named[0].is_file() and not named[0].is_absolute() and ".." not in named[0].parts:
        link = target / named[0]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(named[0].resolve())


def run_again(copy: Path, cache: str) -> None:
    """Run every stage in the copy, with the Python of this process; nothing goes into the cache."""
    with Config(copy / ".dvc").edit("local") as config:
        config["core"] = {"no_scm": True}
        config["cache"] = {"dir": cache, "type": "hardlink,copy"}
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DVC_ROOT": str(copy),
        "DVC_SITE_CACHE_DIR": str(copy / ".dvc" / "tmp" / "site"),  # else DVC leaves a folder in /var/tmp
        "WANDB_MODE": "disabled",  # this is no new experiment
    }
    for command in (["dvc", "checkout", "--quiet", str(DATA)], ["dvc", "repro", "--force", "--no-commit"]):
        # In a session of its own, so that on Ctrl+C or kill the stage ends with DVC and writes no more.
        process = subprocess.Popen(command, cwd=copy, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        if status:
            raise InputError(f"`{' '.join(command)}` failed in the copy, so there is nothing to compare: see above.")


def judge(recorded: Lock, workspace: dict[str, str | None], again: Lock) -> list[Row]:
    """Compare each output; a stage is to blame for a difference if its inputs were the same."""
    rows = []
    for stage, new in again.items():
        old = recorded[stage]
        for output, md5 in new.outs.items():
            known, present = old.outs[output], workspace[output]
            if md5 != known:
                verdict = DIFFERS if new.deps == old.deps else FOLLOWS
            elif present is None:
                verdict = ABSENT
            else:
                verdict = SAME if present == known else CHANGED
            rows.append(Row(stage, output, known, present, md5, verdict))
    return rows


def print_table(rows: list[Row]) -> None:
    header = ("stage", "output", "recorded", "workspace", "run again", "verdict")
    cells = [[row.stage, row.output, *(str(md5 or "-")[:8] for md5 in row[2:5]), row.verdict] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    print()
    for line in (header, *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print()


def compare_environments(recorded: Path, again: Path, deterministic: bool = True) -> str:
    """What differs between the environments that two models say they were trained in, or why nothing need to."""
    from classifier.network.checkpoint import read_environment

    old, new = read_environment(recorded), read_environment(again)
    if not old or not new:
        return f"What environment the recorded {CHECKPOINT} was made in is not known."
    changes = [f"{key} {old.get(key)}, now {new.get(key)}" for key in old | new if old.get(key) != new.get(key)]
    if not changes:
        why = "" if deterministic else "; train.deterministic: false lets a GPU give other bits each time"
        return f"The recorded {CHECKPOINT} was made in the same environment{why}."
    return f"The recorded {CHECKPOINT} was made in another environment: {'; '.join(changes)}."


def conclude(rows: list[Row]) -> str:
    """One sentence that names the stages to look at."""
    culprits, followers = (
        ", ".join(dict.fromkeys(r.stage for r in rows if r.verdict == v)) for v in (DIFFERS, FOLLOWS)
    )
    by_hand = ", ".join(f"{row.output} ({row.stage})" for row in rows if row.workspace not in (None, row.recorded))
    absent = sum(row.verdict == ABSENT for row in rows)
    findings = []
    if culprits:
        findings.append(f"not reproduced: {culprits} wrote other bytes from the same inputs")
    if followers:
        findings.append(f"{'as a consequence' if culprits else 'not reproduced, as its inputs differ'}: {followers}")
    if by_hand:
        findings.append(f"changed by hand, `dvc repro` brings it back: {by_hand}")
    if not findings:
        findings.append(f"reproduced: all {len(rows)} outputs are what {LOCK} records, bit for bit")
        if absent:
            findings.append(f"{absent} of them are not here, `dvc checkout` or `dvc pull` brings them")
    return "; ".join(findings) + "."


if __name__ == "__main__":
    run(main)
