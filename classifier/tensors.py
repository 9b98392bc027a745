"""Tensors and a description of them in one safetensors file, which is checked when it is read.

safetensors executes nothing but carries no checksum, so the description records a SHA-256 of itself
and of the tensors. The same contents give the same bytes: the library writes several metadata keys
in random order, so there is only one, a JSON text.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifier.errors import InputError, one_line
from classifier.files import atomic_write, open_file

import safetensors

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(path: str | Path, key: str, tensors: dict[str, Tensor], description: dict[str, Any]) -> None:
    """Write `tensors`, and `description` as JSON under the metadata key `key`, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    described = {**description, "sha256": _digest(tensors, description)}
    metadata = {key: json.dumps(described, ensure_ascii=False)}
    if tensors:
        from safetensors.torch import save

        content = save(tensors, metadata)
    else:  # without torch, which is slow to import: the same bytes
        content = safetensors.serialize({}, metadata)
    with atomic_write(path) as file:
        file.write(content)


def read_tensors(path: str | Path, key: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote: the tensors, on the CPU, and their description.

    Raises:
        FileNotFoundError: if there is no such file, and only then.
        InputError: if it cannot be read, is no safetensors file, has nothing under `key`, or is not as it was written.
    """
    open_file(path).close()  # safetensors says of folders and unreadable files that they are not there
    try:
        with safetensors.safe_open(path, "np") as file:  # "pt" would import torch, which an empty file does without
            description, names = json.loads((file.metadata() or {}).get(key, "null")), list(file.keys())
        tensors = {}
        if names:
            with safetensors.safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a readable safetensors file: {one_line(error)}") from None
    if not isinstance(description, dict):
        raise InputError(f"{path} is no {key} of this project, or of another version of it.")
    try:
        digest, found = description.pop("sha256", None), _digest(tensors, description)
    except (RecursionError, RuntimeError, TypeError, ValueError) as error:  # numbers of less than a byte, for example
        raise InputError(f"{path} holds what this project never writes: {one_line(error)}") from None
    if digest != found:
        raise InputError(f"{path} is damaged: its contents do not match the digest they were saved with.")
    return tensors, description


def _digest(tensors: dict[str, Tensor], description: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    if tensors:
        import torch
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
