"""Experiments in DVC's queue while trainer, DVC and worker are killed at random: does each end as if nothing had been?

    python bench/soak.py 10 [--seed 0]

Queues that many trainings of handwritten digits in a scratch clone, each with a seed of its own; kills one process for
each with SIGKILL, clears up as docs/reliability.md says, and queues again what has failed or was lost, until all have
succeeded. The same experiments run undisturbed in a second clone. Prints a table of what happened and of what is left,
and exits with 1 if a result differs. Takes one to two minutes for each experiment.
"""

import argparse
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.clones import Clone, copy_clone, copy_tree
from tests.warm import start_server

import psutil

ROOT = Path(__file__).resolve().parents[1]
VICTIMS = {"worker": "queue-worker", "trainer": "train.py", "DVC": "exec-run"}  # and a word of their command lines
EPOCHS = 8
MOMENTS = 5.0  # seconds after the start of a training in which something is killed
LIMIT = 120  # seconds for each experiment and kill
MARK = "CLASSIFIER_SOAK"  # the environment variable by which descendants are known, whoever their parents are
STATUS = re.compile(r"(?m)^\w{7} +(\S+) .* (Queued|Running|Failed|Success) *$")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, metavar="N", help="experiments")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed, and when")
    arguments = parser.parse_args()
    os.environ["WANDB_MODE"] = "disabled"
    for role in ("AUTHOR", "COMMITTER"):
        os.environ |= {f"GIT_{role}_NAME": "soak", f"GIT_{role}_EMAIL": "soak@localhost"}
    with tempfile.TemporaryDirectory() as folder:
        _server, programs = start_server(Path(folder) / "warm")  # for what is undisturbed; it ends with this process
        os.environ["WARM_PROGRAMS"] = str(programs)
        clone = copy_tree(Path(folder) / "clone")
        shutil.copy(ROOT / "recipes" / "digits.yaml", clone.path / "params.yaml")
        clone.run("python", "scripts/get_data.py", "digits")
        clone.run("dvc", "add", "--quiet", "data")
        clone.run("dvc", "repro")
        clone.commit("baseline")
        table = soak(clone, arguments.count, arguments.seed)
    print("\n| what | undisturbed | soak |\n| --- | --- | --- |")
    for name, values in table.items():
        print(f"| {name} | {values[0]} | {values[1]} |")
    equal = table["results equal to the undisturbed ones"][1]
    sys.exit(equal != arguments.count)


def soak(clone: Clone, count: int, seed: int) -> dict[str, tuple[Any, Any]]:
    """Run `count` experiments in a clone with results while processes are killed, and in a copy of it in peace.

    Returns what happened and what is left, by name, for the copy and for the clone.
    """
    quiet = copy_clone(clone, Path(tempfile.mkdtemp(dir=clone.path.parent)))
    names = [f"soak-{i}" for i in range(1, count + 1)]
    for name in names:
        quiet.run("dvc", "exp", "run", "--temp", *experiment(name))
        print(f"undisturbed: {name}", file=sys.stderr, flush=True)
    # By its PATH nothing is forked from tests/warm: what is to be killed has to be the process itself.
    clone = Clone(clone.path, {MARK: str(clone.path)}, cold=True)
    happened = disturb(clone, names, random.Random(seed))
    with suppress(TimeoutError):  # the table tells
        wait_for(lambda: not any(descendants(clone)), 60)  # workers end ten seconds after the last task
    expected, found = (results(c, names) for c in (quiet, clone))
    equal = sum(found.get(name) == lock for name, lock in expected.items())
    table: dict[str, tuple[Any, Any]] = {key: ("", value) for key, value in happened.items()}
    table["results equal to the undisturbed ones"] = (count, equal)
    return table | {key: (value, left(clone)[key]) for key, value in left(quiet).items()}


def experiment(name: str) -> list[str]:
    return ["--name", name, "-S", f"train.seed={name.split('-')[1]}", "-S", f"train.epochs={EPOCHS}"]


def disturb(clone: Clone, names: list[str], chance: random.Random) -> dict[str, int]:
    """Run the experiments through the queue, with a kill for each, until all have succeeded; returns counts."""
    counts = {f"{victim} killed": 0 for victim in VICTIMS}
    counts |= {"tasks failed and queued again": 0, "ghosts cleared": 0, "tasks lost and queued again": 0}
    victims = [list(VICTIMS)[i % len(VICTIMS)] for i in range(len(names))]
    chance.shuffle(victims)
    missing = list(names)
    deadline = time.monotonic() + LIMIT * 2 * len(names)
    while True:
        for name in missing:
            enqueue(clone, name)
        if not any(descendants(clone, "queue-worker")):
            states = tasks(clone)
            for name, state in states:
                if state == "Running":  # as nobody works on it, it would be for ever
                    clear(clone, name)
                    counts["ghosts cleared"] += 1
            for name in sorted(set(names) - dict(states).keys()):  # a killed worker can take a queued task along
                enqueue(clone, name)
                counts["tasks lost and queued again"] += 1
            clone.start("dvc", "queue", "start").wait()  # not to the end of its output, which is the worker's, too
        if victims and kill(clone, victims[-1], chance.uniform(0, MOMENTS)):
            counts[f"{victims.pop()} killed"] += 1
        time.sleep(2)
        states = tasks(clone)
        missing = [name for name, state in states if state == "Failed"]
        if missing:
            clone.run("dvc", "queue", "remove", "--failed")
        counts["tasks failed and queued again"] += len(missing)
        done = {name for name, state in states if state == "Success"}
        print(f"{len(done)} of {len(names)} done, {len(names) - len(victims)} kills", file=sys.stderr, flush=True)
        if done == set(names):
            return counts
        assert time.monotonic() < deadline, states


def enqueue(clone: Clone, name: str) -> None:
    clone.run("dvc", "exp", "run", "--queue", "--force", *experiment(name))


def kill(clone: Clone, victim: str, delay: float) -> bool:
    """Kill a process of this kind, `delay` seconds after a training was seen; False if there is none."""
    with suppress(StopIteration, TimeoutError, psutil.NoSuchProcess):
        wait_for(lambda: any(descendants(clone, VICTIMS["trainer"])), 60)
        time.sleep(delay)
        next(descendants(clone, VICTIMS[victim])).kill()
        return True
    return False


def clear(clone: Clone, name: str) -> None:
    """What docs/reliability.md says of a task that is said to be running and is not."""
    for _ in range(10):
        clone.run("dvc", "queue", "kill", name, check=False)
        if (name, "Running") not in tasks(clone):
            return
        time.sleep(2)
    raise AssertionError(f"{name} is still running:\n" + clone.run("dvc", "queue", "status"))


def tasks(clone: Clone) -> list[tuple[str, str]]:
    """Names and states of the tasks in the queue, asked in a fork: it is asked all the time."""
    return [(name, state) for name, state in STATUS.findall(Clone(clone.path).run("dvc", "queue", "status"))]


def descendants(clone: Clone, word: str = "") -> Iterator[psutil.Process]:
    """Processes that come from a command in the clone, with `word` in their command line."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == clone.environment[MARK] and (not word or word in process.cmdline()):
                yield process


def wait_for(what: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


def results(clone: Clone, names: list[str]) -> dict[str, str]:
    """What dvc.lock records of each experiment: the digests of all that it read and wrote."""
    refs = clone.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    return {name: clone.run("git", "show", f"{ref}:dvc.lock") for ref in refs if (name := ref.split("/")[-1]) in names}


def left(clone: Clone) -> dict[str, float]:
    """What is left in a clone after its experiments."""
    files = [path for path in clone.path.rglob("*") if path.is_file() and not path.is_symlink()]
    cache = [path for path in files if path.is_relative_to(clone.path / ".dvc" / "cache" / "files")]
    runs = [path for path in (clone.path / ".dvc" / "tmp" / "exps").glob("tmp*") if path.is_dir()]
    locks = [path for path in files if path.name == "rwlock" and '"pid"' in path.read_text()]
    return {
        "processes left": len(list(descendants(clone))) if MARK in clone.environment else 0,
        "locks held (DVC's rwlock)": len(locks),
        "states and locks in .resume/": len(list(clone.path.glob(".resume/*"))),
        "temporary files (.*.tmp)": sum(path.name.startswith(".") and path.suffix == ".tmp" for path in files),
        "folders of runs in .dvc/tmp/exps": len(runs),
        "files in the cache": len(cache),
        "MB in the cache": round(sum(path.stat().st_size for path in cache) / 1e6, 1),
        "MB of disk": round(sum(path.stat().st_blocks * 512 for path in files) / 1e6, 1),
        "changed files (git status)": len(clone.run("git", "status", "--porcelain").splitlines()),
    }


if __name__ == "__main__":
    main()
