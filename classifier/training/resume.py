"""State of an unfinished training, so that a crash costs an epoch at most.

It lies in .resume/ of the repository, named after a digest of all that determines the result:
another parameter, image, line of code or version makes another name, and training starts afresh.
DVC does not know these files: an output that outlives a change of parameters would be a stale one.
"""

import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from classifier.errors import InputError
from classifier.files import sha256
from classifier.tensors import read_tensors, write_tensors

import torch
from torch import Tensor, nn

# DVC_ROOT is the repository itself also in the temporary folder of `dvc exp run --temp`.
FOLDER = Path(os.environ.get("DVC_ROOT", ".")) / ".resume"
KEY = "training state"  # of the metadata in the file


def state_path(*determinants: Any) -> Path:
    """The file for the state of a training that `determinants` (JSON) and the loaded code determine.

    The code of tracking and progress is left out: it tells of a training and cannot change it.
    """
    loaded = ((name, m.__file__) for name, m in sys.modules.items() if name.partition(".")[0] == "classifier")
    modules = {name: file for name, file in loaded if file}
    for telling in ("classifier.tracking.tracker", "classifier.training.progress"):
        modules.pop(telling, None)
    code = {name: sha256(path) for name, path in sorted(modules.items())}
    code["__main__"] = sha256(sys.argv[0]) if Path(sys.argv[0]).is_file() else ""
    determined = json.dumps([*determinants, code], sort_keys=True)
    return FOLDER / f"{hashlib.sha256(determined.encode()).hexdigest()[:16]}.safetensors"


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock on the file `path`, which ends with this process however that ends.

    After SIGKILL of `dvc repro`, its stage lives on; the next `dvc repro` would start a second one.

    Raises:
        InputError: if another process holds it, naming that process.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read()
            raise InputError(
                f"another training, process {pid}, is at work here: wait for its end, or stop it with `kill {pid}`."
                if pid
                else "another training is just starting here: wait for its end."
            ) from None
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise InputError("another training has just ended here: start again.")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        path.unlink(missing_ok=True)


def save_state(
    path: Path, modules: dict[str, nn.Module], optimizers: list, weights: dict[str, Tensor], values: dict[str, Any]
) -> None:
    """Save modules by their names, the optimizers, the `weights` to keep so far and `values` (JSON), atomically."""
    tensors = {f"{key}.{name}": t for key, module in modules.items() for name, t in module.state_dict().items()}
    tensors |= {f"weights.{name}": t for name, t in weights.items()}
    for i, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{index}.{name}": t for name, t in state.items() if t is not None}
    write_tensors(path, KEY, tensors, values)


def load_state(
    path: Path, modules: dict[str, nn.Module], optimizers: list
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Put a saved state into `modules` and `optimizers`; returns the weights and values saved with it.

    Returns None if there is none, or, after saying so, if it is damaged.
    """
    try:
        tensors, values = read_tensors(path, KEY)
    except FileNotFoundError:
        return None
    except InputError as error:
        print(f"starting afresh: {error}")
        return None
    groups: dict[str, dict[str, Tensor]] = {key: {} for key in (*modules, "weights", "optimizer")}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups[group][rest] = tensor
    for key, module in modules.items():
        module.load_state_dict(groups[key])
    for name, tensor in groups["optimizer"].items():
        i, index, key = name.split(".")
        optimizer = optimizers[int(i)]
        parameter = [p for group in optimizer.param_groups for p in group["params"]][int(index)]
        if tensor.shape == parameter.shape:  # in the parameter's memory format, on which the bits depend
            tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        elif optimizer.defaults.get("fused"):  # the number of updates lies beside the parameter then
            tensor = tensor.to(parameter.device)
        optimizer.state[parameter][key] = tensor
    return groups["weights"], values
