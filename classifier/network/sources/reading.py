"""Files of weights to tensors, without executing anything."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

from classifier.errors import InputError

import safetensors
import safetensors.torch
import torch
from torch import Tensor


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of what torch.save wrote, without executing anything.

    Raises:
        InputError: if the file is damaged, or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path} is damaged or holds more than tensors: loading it could run code, and is refused."
        ) from None
    except Exception as error:  # readers of damaged files raise nearly anything
        raise InputError(f"{path} is not a readable file of weights: {first_line(error)}") from None
    for key in ("state_dict", "model"):  # beside which training scripts keep other things
        if isinstance(contents, Mapping) and isinstance(contents.get(key), Mapping):
            contents = contents[key]
    if not isinstance(contents, Mapping) or not all(isinstance(value, Tensor) for value in contents.values()):
        raise InputError(f"{path} holds no state dict, which maps names to tensors.")
    wrappers = re.compile(r"^(?:module\.|_orig_mod\.)+")  # of DistributedDataParallel and torch.compile
    return {wrappers.sub("", name): tensor.detach() for name, tensor in contents.items()}


def first_line(error: Exception) -> str:
    """What an exception says, or its name, on one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
