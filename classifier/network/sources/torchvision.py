"""Weights that torchvision publishes, by their name: IMAGENET1K_V1."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from classifier.errors import InputError, nearest
from classifier.files import sha256
from classifier.network.preprocessing import Preprocessing
from classifier.network.pretrained import Pretrained
from classifier.network.sources.download import PATH_FORM, download
from classifier.network.sources.reading import load_tensors

import torch


def fetch(model: str, setting: str) -> Pretrained:
    """The weights of this name, from torch.hub's folder (TORCH_HOME), where they are put if they are not there.

    Raises:
        InputError: if torchvision has no such weights, or they cannot be fetched, or are damaged.
    """
    weights = _weights_of(model)
    names = [member.name for member in weights or []]
    if setting not in names:
        if not names:
            raise InputError(f"train.pretrained: torchvision has no weights for {model!r}: none, or {PATH_FORM}.")
        known = nearest(setting, [*names, "none"])
        raise InputError(f"train.pretrained: torchvision has no weights {setting!r} for {model}, {known}")
    chosen = weights[setting]
    name = Path(urlparse(chosen.url).path).name
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    published = re.search(r"-([0-9a-f]{8,})\.", name)  # the first digits of its SHA-256
    prefix = published[1] if published else ""
    if not path.is_file():
        download(chosen.url, path, prefix, model)
    digest = sha256(path)
    if not digest.startswith(prefix):
        raise InputError(
            f"{path} is damaged: its SHA-256 begins with {digest[: len(prefix)]}. Remove it, and run again."
        )
    tensors = {_densenet_name(name): tensor for name, tensor in load_tensors(path).items()}
    source, licence = f"torchvision {chosen}", chosen.meta.get("license")
    return Pretrained(model, setting, tensors, _to_preprocessing(chosen), source, digest, licence)


def usual_preprocessing(model: str) -> Preprocessing | None:
    """What torchvision says of a network's input; None if it has no weights for it."""
    weights = _weights_of(model)
    return _to_preprocessing(weights.DEFAULT) if weights else None


def _weights_of(model: str) -> Any:
    """torchvision's enumeration of the weights that it has for a network; None if it does not know the network."""
    from torchvision import models

    return models.get_model_weights(model) if model in models.list_models(module=models) else None


def _to_preprocessing(weights: Any) -> Preprocessing:
    """What a member of an enumeration of torchvision's weights says of the input."""
    preset = weights.transforms()
    (size,), (crop,) = preset.resize_size, preset.crop_size
    return Preprocessing(size, "crop", crop, preset.interpolation.value, tuple(preset.mean), tuple(preset.std))


def _densenet_name(name: str) -> str:
    """The present name of a tensor in torchvision's old files of DenseNet: norm.1 is called norm1 now."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d\.)", r"\1\2", name)
