"""State of an unfinished training, so that a crash costs a few minutes at most.

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
from typing import Any, NamedTuple

from classifier.errors import InputError
from classifier.files import sha256
from classifier.tensors import read_tensors, write_tensors

import torch
from torch import Tensor, nn

# DVC_ROOT is the repository itself also in the temporary folder of `dvc exp run --temp`.
FOLDER = Path(os.environ.get("DVC_ROOT", ".")) / ".resume"
KEY = "training state"  # of the metadata in the file
# What an optimizer keeps of each parameter, in its shape, but for the number of steps.
KEPT = {"Muon": {"momentum"}, "SGD": {"momentum_buffer"}, "AdamW": {"step", "exp_avg", "exp_avg_sq"}}


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


class Begun(NamedTuple):
    """What has been done of an epoch: the loss and the accuracy of each of its first steps, float [steps] each."""

    losses: Tensor = torch.zeros(0)
    accuracies: Tensor = torch.zeros(0)

    @property
    def steps(self) -> int:
        return len(self.losses)

    def first(self, steps: int) -> "Begun":
        """What it was after so many steps."""
        return Begun(*(values[:steps] for values in self))

    def padded(self, steps: int, device: torch.device) -> "Begun":
        """The same with room for so many steps, on the device."""
        return Begun(*(torch.cat([values, torch.zeros(steps - len(values))]).to(device) for values in self))


class Parts:
    """Of an epoch that is done in parts: what is `begun` of it, and when to save more. These save nothing."""

    begun = Begun()

    def due(self) -> bool:
        return False

    def save(self, begun: Begun) -> None:
        pass


NO_PARTS = Parts()


class State(NamedTuple):
    """A saved state: tensors by group and name, and what else was saved with them (JSON)."""

    groups: dict[str, dict[str, Tensor]]
    values: dict[str, Any]


def save_state(
    path: Path,
    modules: dict[str, nn.Module],
    optimizers: list,
    groups: dict[str, dict[str, Tensor]],
    values: dict[str, Any],
) -> None:
    """Save modules by their names, the optimizers, further `groups` of tensors and `values` (JSON), atomically."""
    tensors = {f"{key}.{name}": t for key, module in modules.items() for name, t in module.state_dict().items()}
    tensors |= {f"{key}.{name}": t for key, group in groups.items() for name, t in group.items()}
    for i, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{index}.{name}": t for name, t in state.items() if t is not None}
    write_tensors(path, KEY, tensors, values)


def read_state(path: Path) -> State | None:
    """Read a saved state; None if there is none, or, after saying so, if it is damaged."""
    try:
        tensors, values = read_tensors(path, KEY)
    except FileNotFoundError:
        return None
    except InputError as error:
        print(f"starting afresh: {error}")
        return None
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = tensor
    return State(groups, values)


def restore(state: State, modules: dict[str, nn.Module], optimizers: list) -> None:
    """Put a saved state into `modules` and `optimizers`.

    Raises:
        Exception: of nearly any kind, if it is not of these: then some of it was put there.
    """
    for key, module in modules.items():
        module.load_state_dict(state.groups[key])
    for name, tensor in state.groups.get("optimizer", {}).items():
        i, index, key = name.split(".")
        optimizer = optimizers[int(i)]
        parameter = [p for group in optimizer.param_groups for p in group["params"]][int(index)]
        # torch counts updates in its default type, whatever that of the parameter is.
        shape, dtype = ((), torch.get_default_dtype()) if key == "step" else (parameter.shape, parameter.dtype)
        if (tensor.shape, tensor.dtype) != (shape, dtype):
            raise ValueError(f"{name} is {tensor.dtype}, of the shape {list(tensor.shape)}")
        if tensor.shape == parameter.shape:  # in the parameter's memory format, on which the bits depend
            tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        elif optimizer.defaults.get("fused"):  # the number of updates lies beside the parameter then
            tensor = tensor.to(parameter.device)
        optimizer.state[parameter][key] = tensor
    for optimizer in optimizers:
        for kept in optimizer.state.values():
            if kept.keys() != KEPT[type(optimizer).__name__]:
                raise ValueError(f"{type(optimizer).__name__} does not keep {', '.join(kept)} of a parameter")
