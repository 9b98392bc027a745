"""Compare what a stage does with what dvc.yaml says of it. The checks return sentences, one for each problem."""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import yaml

RECORDER = Path(__file__).with_name("recorder.py")

# What a stage may do although dvc.yaml does not say so: the problem, in which `*` stands for anything, and the
# reason why it cannot change a result.
EXEMPT = {
    "consults DEVICE": "where to run: another kind of device rounds differently, as the README says",
    "consults SPLITS": "where a split lies, which changes no bit: tests/unit/test_train.py",
    "consults SAVE_EVERY": "how often that state is saved",
    "consults WORLD_SIZE": "how many processes train together: others round differently, as docs/scaling.md says",
    "opens /proc/*": "how much memory is free decides where a split lies",
    "opens /sys/fs/cgroup/*": "how much memory the job may have, for the same",
    "consults CUBLAS_WORKSPACE_CONFIG": "set where it is not, so that cuBLAS gives the same bits each time",
    "reads classifier/tracking*": "it tells W&B what the stage does; tests/faults compares the bytes without it",
    "consults WANDB_*": "where the log goes",
    "consults DVC_ROOT": "below it lies the state of an unfinished training, named after all that determines it, and "
    "maybe a file of weights, whose SHA-256 is a parameter",
    "writes .resume*": "that state: a training that goes on from it gives the same bytes, as tests/faults shows",
    "starts */ldconfig -p": "torch's packages for CUDA look for its libraries",
    "starts fc-list *": "matplotlib lists the fonts once for each user; the pictures use its own",
    f"opens {os.path.realpath(sys.executable)}": "where the system does not name its C library, Python's file does",
}


@dataclass(frozen=True)
class Declared:
    """A stage as DVC understood dvc.yaml when it last ran it."""

    command: str
    deps: frozenset[str]
    outs: dict[str, str]  # the MD5 of each, metrics included

    @classmethod
    def of(cls, repository: Path, stage: str) -> "Declared":
        lock = yaml.safe_load((repository / "dvc.lock").read_text())["stages"][stage]
        deps = frozenset(dep["path"] for dep in lock["deps"])
        return cls(lock["cmd"], deps, {out["path"]: out["md5"] for out in lock["outs"]})


def record(repository: Path, stage: Declared, scratch: Path) -> dict[str, list[str]]:
    """Run a stage in a whole repository; returns what recorder.py saw of it."""
    report = scratch / "report.json"
    words = shlex.split(stage.command)
    script = words[next(i for i, word in enumerate(words) if word in ("python", "${LAUNCH:-python}")) + 1 :]
    # No bytecode, so that the files of modules are seen to be read.
    python = [sys.executable, "-B", "-X", f"pycache_prefix={scratch / 'none'}"]
    environment = os.environ | {"DVC_ROOT": str(repository)}
    subprocess.run([*python, RECORDER, report, *script], cwd=repository, env=environment, check=True)
    return json.loads(report.read_text())


def undeclared(report: dict[str, list[str]], stage: Declared) -> list[str]:
    """What a stage did that it does not declare."""
    outs = [PurePosixPath(out) for out in stage.outs]
    may_write = {str(p) for out in outs for p in (out, out.with_name(f".{out.name}.tmp"), *out.parents)}
    found = [f"reads {path}" for path in report["reads"] if not is_within(path, stage.deps | {"params.yaml"})]
    found += [f"writes {path}" for path in report["writes"] if path not in may_write]
    found += [f"opens {path}" for path in report["outside"]]
    found += [f"{verb} {what}" for verb in ("starts", "calls", "consults") for what in report[verb]]
    return not_exempt(found)


def unread(report: dict[str, list[str]], stage: Declared) -> list[str]:
    """The dependencies that a stage was not seen to read."""
    return sorted(dep for dep in stage.deps if not any(is_within(path, {dep}) for path in report["reads"]))


def run_alone(repository: Path, stage: Declared, folder: Path) -> list[str]:
    """Run a stage in `folder` with a copy of its dependencies and of params.yaml, and nothing else."""
    tracking = {"classifier/tracking/__init__.py", "classifier/tracking/tracker.py"}
    for path in stage.deps | tracking | {"params.yaml"}:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (repository / path).is_dir() else shutil.copy
        copy(repository / path, folder / path)
    before = digests(folder)
    tools = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DVC_ROOT": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        stage.command, shell=True, cwd=folder, env=os.environ | tools, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        return [f"fails: {done.stderr}"]
    after = digests(folder)
    found = [f"changes {path}" for path in before if after.get(path) != before[path]]
    found += [f"writes {path}" for path in after if path not in before and path not in stage.outs]
    found += [f"does not write {path}" for path in stage.outs if path not in after]
    changed = [path for path, md5 in stage.outs.items() if after.get(path, md5) != md5]
    found += [f"writes {path} otherwise than dvc.lock says" for path in changed]
    return not_exempt(found)


def digests(folder: Path) -> dict[str, str]:
    """The MD5 of every file below `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        f.relative_to(folder).as_posix(): hashlib.md5(f.read_bytes(), usedforsecurity=False).hexdigest() for f in files
    }


def is_within(path: str, allowed: frozenset[str] | set[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(folder) for folder in allowed)


def not_exempt(found: list[str]) -> list[str]:
    return [problem for problem in found if not any(fnmatchcase(problem, pattern) for pattern in EXEMPT)]
