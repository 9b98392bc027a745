"""The trained model as one safetensors file that holds all that is needed to use it.

The metadata says how to rebuild the network and how to treat images; loading executes nothing.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from classifier.data.names import require_sound
from classifier.errors import InputError, one_line, shown
from classifier.network.models import build_network
from classifier.network.network import Network
from classifier.network.preprocessing import Preprocessing
from classifier.paths import CHECKPOINT
from classifier.tensors import read_tensors, write_tensors

import torch
from torch import Tensor

KEY = "checkpoint"  # of the metadata in the file
FORMAT = "2"


@dataclass(frozen=True)
class Metadata:
    """How to rebuild the network, what its input and output mean, and where it was trained.

    `environment` is what decides the bits beside code, data and parameters (classifier/reproducibility.py),
    `temperature` what the logits are divided by, and `pretrained` tells of the weights that training started from.
    """

    model: str
    classes: list[str]
    preprocessing: Preprocessing
    environment: dict[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    pretrained: dict[str, Any] | None = None


def save_checkpoint(path: Path, weights: dict[str, Tensor], metadata: Metadata) -> None:
    """Write `weights` and `metadata` to `path`, atomically and with the same bytes each time."""
    write_tensors(path, KEY, weights, {"format": FORMAT, **asdict(metadata)})


def load_checkpoint(path: str | Path) -> tuple[Network, Metadata]:
    """Rebuild the network of a checkpoint on the CPU, in evaluation mode.

    Raises:
        InputError: if the file is missing, cannot be read, is damaged, is no checkpoint of this format, or says of
            itself what cannot be: a digest guards against damage, not against what was written so.
    """
    try:
        weights, description = read_tensors(path, KEY)
    except FileNotFoundError:
        remedy = "run `dvc repro`; `dvc checkout` or `dvc pull` bring back what was trained before"
        raise InputError(f"{path} not found: {remedy}.") from None
    if description.get("format") not in ("1", FORMAT):
        raise InputError(f"{path} is no checkpoint of this project, or of another version of it.")
    try:
        metadata = _to_metadata(description)
        network = build_network(metadata.model, len(metadata.classes), metadata.preprocessing)
        network.module.load_state_dict(weights)
        _require_numbers(weights, network)
    except Exception as error:  # what a network's makers raise for names and sides that they do not expect
        raise InputError(f"{path} does not describe its own weights: {one_line(error)}") from None
    network.temperature = metadata.temperature
    return network.eval(), metadata


def _to_metadata(description: dict[str, Any]) -> Metadata:
    """What `save_checkpoint` wrote, in this format or the first, which knew one way to fit images only."""
    if description["format"] == "1":
        side, colours = description["image_size"], {name: description[name] for name in ("mean", "std")}
        preprocessing = {"size": side, "fit": "crop", "crop": side, "interpolation": "bilinear"} | colours
    else:
        preprocessing = description["preprocessing"]
    metadata = Metadata(
        model=description["model"],
        classes=description["classes"],
        preprocessing=Preprocessing.from_json(preprocessing),
        environment=description.get("environment", {}),
        temperature=description.get("temperature", 1.0),
        pretrained=description.get("pretrained"),
    )
    classes, temperature, seen = metadata.classes, metadata.temperature, metadata.preprocessing
    if seen.crop > seen.size:  # which a few of timm's weights say of themselves, and no training here makes
        raise ValueError(f"crop is {seen.crop}, which is more than size, {seen.size}")
    if not isinstance(metadata.model, str):
        raise ValueError(f"model is {shown(metadata.model)}")
    if not isinstance(classes, list) or not all(isinstance(name, str) and name for name in classes):
        raise ValueError(f"classes are {shown(classes)}, not a list of names")
    if len(set(classes)) < max(2, len(classes)):
        raise ValueError(f"classes are {shown(classes)}, not two or more different names")
    require_sound(classes, "classes")
    if type(temperature) not in (int, float) or not 1e-6 < temperature < 1e6:
        raise ValueError(f"temperature is {shown(temperature)}")
    if not isinstance(metadata.environment, dict) or not isinstance(metadata.pretrained, dict | None):
        raise ValueError("environment or pretrained is no mapping")
    return metadata


def _require_numbers(weights: dict[str, Tensor], network: Network) -> None:
    """Refuse weights of another type than the network's, or that are no numbers: it would answer nothing but NaN."""
    for name, tensor in network.module.state_dict().items():
        if weights[name].dtype != tensor.dtype:
            raise ValueError(f"{name} is of the type {weights[name].dtype}, not {tensor.dtype}")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{name} has values that are not finite")


def read_environment(path: str | Path) -> dict[str, Any]:
    """What a checkpoint says of the environment it was made in; {} if it is silent or cannot be read."""
    try:
        return dict(read_tensors(path, KEY)[1]["environment"])
    except (InputError, OSError, KeyError, TypeError):
        return {}


def require_same_classes(metadata: Metadata, classes: list[str], path: str | Path = CHECKPOINT) -> None:
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
