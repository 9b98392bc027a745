"""The trained model as one safetensors file that holds all that is needed to use it.

The metadata says how to rebuild the network and how to treat images; loading executes nothing.
safetensors carries no checksum, so the metadata also records a SHA-256 of itself and the weights.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from classifier.errors import InputError
from classifier.files import atomic_write
from classifier.models import build_model

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

PATH = Path("models/classifier.safetensors")
FORMAT = "1"


@dataclass(frozen=True)
class Metadata:
    """How to rebuild the network, and what its input and output mean."""

    model: str
    classes: list[str]
    image_size: int
    mean: list[float]
    std: list[float]


def save_checkpoint(path: Path, weights: dict[str, Tensor], metadata: Metadata) -> None:
    """Write `weights` and `metadata` to `path`, atomically and with the same bytes each time."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    described = {"format": FORMAT, **asdict(metadata)}
    described["sha256"] = _digest(weights, described)
    header = {"checkpoint": json.dumps(described, ensure_ascii=False)}  # the library writes several in random order
    with atomic_write(path) as file:
        file.write(safetensors.torch.save(weights, header))


def load_checkpoint(path: str | Path) -> tuple[nn.Module, Metadata]:
    """Rebuild the network of a checkpoint on the CPU, in evaluation mode.

    Raises:
        InputError: if the file is missing, damaged or no checkpoint of this format.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("checkpoint", "{}"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError:
        raise InputError(f"{path} not found: run `dvc repro`, or fetch a trained model with `dvc pull`.") from None
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable safetensors file: {error}") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError(f"{path} is no checkpoint of this project, or of another version of it.")
    if header.pop("sha256", None) != _digest(weights, header):
        raise InputError(f"{path} is damaged: its contents do not match the digest they were saved with.")
    try:
        metadata = Metadata(**{name: header[name] for name in Metadata.__dataclass_fields__})
        model = build_model(metadata.model, len(metadata.classes), metadata.image_size)
        model.load_state_dict(weights)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} does not describe its own weights: {error}") from None
    return model.eval(), metadata


def require_same_classes(metadata: Metadata, classes: list[str], path: str | Path = PATH) -> None:
    """Refuse a checkpoint whose logits mean other classes, or the same classes in another order.

    Raises:
        InputError: naming the difference.
    """
    if metadata.classes == classes:
        return
    only_model = sorted(set(metadata.classes) - set(classes))
    only_data = sorted(set(classes) - set(metadata.classes))
    difference = f"only in the checkpoint: {only_model or 'none'}, only in the dataset: {only_data or 'none'}"
    if not only_model and not only_data:
        difference = f"the same classes in another order: {metadata.classes} against {classes}"
    raise InputError(f"{path} was trained on other classes than prepared/ holds: {difference}.")


def _digest(weights: dict[str, Tensor], described: dict) -> str:
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(weights):
        tensor = weights[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
