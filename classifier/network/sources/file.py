"""Weights in a file that PATH@sha256:DIGEST names: a checkpoint of this project, or a state dict."""

from pathlib import Path

from classifier.config import TIMM
from classifier.errors import InputError
from classifier.files import open_file, sha256
from classifier.network.checkpoint import KEY, load_checkpoint
from classifier.network.preprocessing import Preprocessing
from classifier.network.pretrained import Pretrained
from classifier.network.sources import timm, torchvision
from classifier.network.sources.reading import load_tensors

import safetensors


def fetch(model: str, setting: str, path: Path, digest: str) -> Pretrained:
    """The weights in the file `path`, which train.pretrained, `setting`, names with its SHA-256.

    Raises:
        InputError: if it is missing, another file, or not for the network `model`.
    """
    try:
        open_file(path).close()
    except FileNotFoundError:
        missing = f"train.pretrained: {path} not found: put the file with the SHA-256 {digest} there."
        raise InputError(missing) from None
    if (found := sha256(path)) != digest:
        raise InputError(f"train.pretrained: {path} has the SHA-256 {found}, not {digest}: it is another file.")
    if KEY not in _metadata(path):
        tensors, preprocessing = load_tensors(path), _usual_preprocessing(model)
        return Pretrained(model, setting, tensors, preprocessing, f"file {path.name}", digest, None)
    network, metadata = load_checkpoint(path)
    if metadata.model != model:
        raise InputError(f"train.pretrained: {path} holds a {metadata.model}, not train.model: {model}.")
    tensors, source = network.module.state_dict(), f"checkpoint {path.name}"
    return Pretrained(model, setting, tensors, metadata.preprocessing, source, digest, None)


def _metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; {} of a file of another kind."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (safetensors.SafetensorError, ValueError):
        return {}


def _usual_preprocessing(model: str) -> Preprocessing | None:
    """What the makers of a network say of its input; of a file of weights alone that is the best guess."""
    return timm.usual_preprocessing(model) if model.startswith(TIMM) else torchvision.usual_preprocessing(model)
