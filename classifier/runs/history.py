"""Every run that Git and DVC know: of the commits, tags, branches and experiments, and of the files as they are.

A revision is read with two processes of Git, however many there are. Revisions whose params.yaml, metrics.json and
dvc.lock are the same bytes hold the same run, which is then read once.
"""

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from classifier.errors import InputError
from classifier.paths import LOCK, METRICS, PARAMS
from classifier.runs.runs import WORKSPACE, Run, parse_run

from dvc.repo import Repo
from dvc.repo.experiments.refs import CELERY_FAILED_STASH, CELERY_STASH
from dvc.repo.experiments.stash import ExpStash

FILES = (PARAMS, METRICS, LOCK)
HEAD = "HEAD"
MOST = 1000  # runs: of more, the newest
REFS = ("refs/tags/", "refs/heads/", "refs/exps/", "refs/remotes/")  # the best names come first
EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]+/(?P<name>.+)")  # others below refs/exps/ are DVC's own
OLDER = "metrics.json is older than params.yaml or what it was made from; run `dvc repro`."


Content = tuple[bytes | None, ...]  # of FILES, None where there is none


@dataclass(frozen=True)
class Commit:
    """What Git says of a commit."""

    sha: str
    time: int  # seconds since 1970
    message: str  # its first line


@dataclass(frozen=True)
class Record:
    """A run, and where it is found."""

    run: Run
    commit: Commit  # the oldest that holds it
    names: list[str]  # tags, branches and experiments that hold it, HEAD, workspace
    experiment: bool = False  # DVC alone has a name for it


class _Tip(NamedTuple):
    """A name for a commit."""

    sha: str
    name: str
    experiment: bool


def collect(most: int = MOST) -> tuple[list[Record], list[str]]:
    """All runs, that of HEAD first and then the newest first, and a sentence for each that is left out.

    Raises:
        InputError: if this is no Git repository.
    """
    tips = _list_tips()
    commits = _list_commits([tip.sha for tip in tips])
    contents = _read_files(commits)
    found: dict[Content, tuple[Commit, list[str]]] = {}
    for commit in commits:
        content = contents[commit.sha]
        _, names = found.get(content, (commit, []))
        found[content] = commit, [*names, *(tip.name for tip in tips if tip.sha == commit.sha)]
    here: Content = tuple(path.read_bytes() if path.is_file() else None for path in FILES)
    changed = int(METRICS.stat().st_mtime) if METRICS.is_file() else 0
    commit, names = found.get(here, (Commit("", changed, ""), []))
    found[here] = commit, [*names, WORKSPACE]

    ranks = {tip.name: rank for rank, tip in enumerate(tips)}
    experiments = {tip.name for tip in tips if tip.experiment}
    records, notes = [], []
    for content, (commit, names) in found.items():
        if content[FILES.index(METRICS)] is None:
            continue
        names = sorted(set(names), key=lambda name: ranks.get(name, len(ranks)))
        try:
            run = _parse(next((name for name in names if name != HEAD), commit.sha[:7]), content)
        except InputError as error:
            notes.append(f"{error} Left out.")
            continue
        if run.stale:
            notes.append(f"{run.rev}: {OLDER} Left out.")
            continue
        records.append(Record(run, commit, names, bool(names) and experiments.issuperset(names)))
    records.sort(key=lambda record: (HEAD not in record.names, -record.commit.time))
    if len(records) > most:
        notes.append(f"There are {len(records)} runs: only the newest {most} are shown.")
    return records[:most], notes


def list_unfinished() -> list[str]:
    """A sentence for each of DVC's experiments that failed or waits in the queue: it has no results."""
    with Repo() as repo:
        stashes = {"failed": CELERY_FAILED_STASH, "is queued or running": CELERY_STASH}
        states = {
            entry.name or sha[:7]: state
            for state, ref in stashes.items()
            for sha, entry in ExpStash(repo.scm, ref).stash_revs.items()
        }
    logs = "; `dvc queue logs {0}` says why"
    return [
        f"The experiment {name} {state} and has no results" + (logs.format(name) if state == "failed" else "") + "."
        for name, state in states.items()
    ]


def _parse(rev: str, content: Content) -> Run:
    def read(path: Path) -> bytes:
        found = content[FILES.index(path)]
        if found is None:
            raise FileNotFoundError(path)
        return found

    return parse_run(rev, read)


def _list_tips() -> list[_Tip]:
    """What has a name, the best names first: tags, branches, experiments, remote branches, HEAD."""
    pairs = []
    for line in _git("for-each-ref", "--format=%(refname)%00%(objectname)%00%(*objectname)", *REFS):
        ref, sha, peeled = line.split("\0")
        prefix = next(each for each in REFS if ref.startswith(each))
        experiment = EXPERIMENT.fullmatch(ref)
        if (prefix == "refs/exps/" and not experiment) or ref.endswith("/HEAD"):
            continue
        name = experiment["name"] if experiment else ref.removeprefix(prefix)
        pairs.append((REFS.index(prefix), _Tip(peeled or sha, name, bool(experiment))))
    named = [tip for _, tip in sorted(pairs, key=lambda pair: pair[0])]
    head = _git("rev-parse", "--verify", "--quiet", "HEAD", check=False)
    return [*named, _Tip(head[0], HEAD, False)] if head else named


def _list_commits(tips: list[str]) -> list[Commit]:
    """The tips themselves and, of the commits they came from, those that changed results; the newest first."""
    if not tips:
        return []
    shape = "--format=%H%x00%ct%x00%s"
    kinds = _git("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=tips)
    tips = [line.split()[0] for line in kinds if line.endswith(" commit")]  # Git can tag anything
    lines = _git("log", shape, "--full-history", "--stdin", stdin=[*tips, "--", str(METRICS), str(LOCK)])
    lines += _git("log", shape, "--no-walk", "--stdin", stdin=tips)
    commits = {}
    for line in lines:
        sha, time, message = line.split("\0", 2)
        commits[sha] = Commit(sha, int(time), message)
    return sorted(commits.values(), key=lambda commit: -commit.time)


def _read_files(commits: list[Commit]) -> dict[str, Content]:
    """The content of FILES in each commit, None where there is none; equal contents are one object."""
    wanted = [f"{commit.sha}:./{path}" for commit in commits for path in FILES]
    checked = _git("cat-file", "--batch-check", stdin=wanted)
    blobs = [None if line.endswith(" missing") else line.split()[0] for line in checked]
    contents = _read_blobs(dict.fromkeys(filter(None, blobs)))
    found = [contents.get(blob) if blob else None for blob in blobs]
    return {commit.sha: tuple(found[i * len(FILES) : (i + 1) * len(FILES)]) for i, commit in enumerate(commits)}


def _read_blobs(blobs: Iterable[str]) -> dict[str, bytes]:
    output, contents, start = _run_git("cat-file", "--batch", stdin=list(blobs)), {}, 0
    for blob in blobs:  # a line "<blob> blob <size>", the bytes, a line end
        end = output.index(b"\n", start)
        size = int(output[start:end].split()[2])
        contents[blob] = output[end + 1 : end + 1 + size]
        start = end + size + 2
    return contents


def _git(*arguments: str, stdin: list[str] | None = None, check: bool = True) -> list[str]:
    """The lines that Git prints; str.splitlines() would also cut messages at what only looks like a line's end."""
    output = _run_git(*arguments, stdin=stdin, check=check).decode(errors="replace")
    return output.removesuffix("\n").split("\n") if output else []


def _run_git(*arguments: str, stdin: list[str] | None = None, check: bool = True) -> bytes:
    lines = "".join(f"{line}\n" for line in stdin or [])
    result = subprocess.run(["git", *arguments], input=lines.encode(), capture_output=True)
    if check and result.returncode:
        raise InputError(f"Git cannot list runs: {' '.join(result.stderr.decode(errors='replace').split())}")
    return result.stdout
