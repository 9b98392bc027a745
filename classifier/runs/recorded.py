"""What dvc.lock records, compared with the files as they are and with what the remote holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.errors import InputError
from classifier.paths import DATA, LOCK, PARAMS, PIPELINE

from dvc.output import Output
from dvc.repo import Repo
from dvc.stage import PipelineStage
from ruamel.yaml import YAML


@dataclass(frozen=True)
class RecordedStage:
    """What the last run of a stage read and wrote, as dvc.lock has it."""

    deps: dict[str, str]  # path → MD5, "" where DVC records none
    outs: dict[str, str]
    params: dict[str, Any]  # sections of params.yaml, or single values by dotted names: train.model


Lock = dict[str, RecordedStage]  # by the name of the stage


def read_lock(path: Path = LOCK) -> Lock:
    """Read a dvc.lock.

    Raises:
        InputError: if there is no such file, or DVC did not write it.
    """
    try:
        return parse_lock(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise InputError(f"{path} not found: nothing is recorded yet, run `dvc repro` first.") from None


def parse_lock(content: bytes, name: str) -> Lock:
    """What `content`, that of a dvc.lock, says. Errors call it `name`.

    Raises:
        InputError: if DVC did not write it.
    """
    try:
        said = YAML(typ="safe").load(content)["stages"]
        return {
            stage: RecordedStage(
                deps=_md5s(entries.get("deps", [])),
                outs=_md5s(entries.get("outs", [])),
                params=entries.get("params", {}).get(str(PARAMS), {}),
            )
            for stage, entries in said.items()
        }
    except Exception:  # what is no YAML makes its reader raise nearly anything
        raise InputError(f"{name} is not what DVC writes: bring it back from Git.") from None


def _md5s(entries: list[dict[str, Any]]) -> dict[str, str]:
    return {entry["path"]: entry.get("md5", "") for entry in entries}


def stages(repo: Repo) -> list[PipelineStage]:
    return [stage for stage in repo.index.stages if isinstance(stage, PipelineStage)]


def find_data(repo: Repo) -> Output:
    """The dataset, as data.dvc records it."""
    for out in repo.index.outs:
        if out.fs_path == str(DATA.absolute()):
            return out
    raise InputError(f"{DATA}.dvc not found: `dvc add {DATA}` makes it.")


def changed_inputs(repo: Repo) -> list[str]:
    """What dvc.lock records otherwise than it is: code, data, parameters, the pipeline; nothing after `dvc repro`.

    What is not here, as in a clone without `dvc pull`, has not changed.

    Raises:
        InputError: if there is no dvc.lock or no data.dvc.
    """
    read_lock()  # what DVC itself has read is compared below; this refuses where there is nothing to read
    data = find_data(repo)
    changed = [str(DATA)] if data.exists and data.changed_checksum() else []
    made = {out.fs_path: out for out in repo.index.outs}
    for stage in stages(repo):
        for dep in stage.deps:
            # What a stage made may be absent here, or changed by hand: compare records, not files.
            out = made.get(dep.fs_path)
            if dep.hash_info != out.hash_info if out else dep.workspace_status():
                changed.append(dep.def_path)
        if stage.cmd_changed or not all(out.hash_info for out in stage.outs):
            changed.append(str(PIPELINE))
    return list(dict.fromkeys(changed))


def missing_on_remote(repo: Repo) -> list[str]:
    """The dataset and the outputs that the default remote does not hold, or not completely.

    Raises:
        InputError: if there is no default remote, or it does not answer.
    """
    remote = repo.config["core"].get("remote")
    if not remote:
        raise InputError("There is no default remote to push to: `dvc remote default NAME` chooses one.")
    try:
        files = repo.data_status(not_in_remote=True, remote_refresh=True, granular=True).get("not_in_remote", [])
    except Exception as error:  # a remote fails in whatever way its library likes
        reason = " ".join(str(error).split()) or repr(error)
        raise InputError(f"The remote `{remote}` does not say what it holds: {reason}") from None
    outs = [out.def_path for out in repo.index.outs if out.use_cache]
    missing = [path for path in outs if any(f"{file}/".startswith(f"{path}/") for file in files)]
    if missing == outs:  # which is also what DVC says of a folder or a web server that is not there
        raise InputError(f"The remote `{remote}` holds nothing of this, or cannot be reached: `dvc push` fills it.")
    return missing
