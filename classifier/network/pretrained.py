"""Pretrained weights as an input of training: their file, and how a network takes them over.

The stage `weights` (scripts/get_weights.py) fetches them from one of the places that classifier/network/sources/
knows, and writes the file; train.py reads it.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifier.config import TIMM
from classifier.errors import InputError, one_line
from classifier.network.preprocessing import Preprocessing
from classifier.paths import WEIGHTS
from classifier.tensors import read_tensors, write_tensors

if TYPE_CHECKING:  # at run time `none` does without torch, which is slow to import
    from classifier.network.network import Network

    from torch import Tensor

KEY = "weights"  # of the metadata in the file
FORMAT = "1"
AT_SHA256 = "@sha256:"
COUNTER = "num_batches_tracked"  # of batch norm: old files lack it, and nothing here depends on it


@dataclass(frozen=True)
class Pretrained:
    """The weights of a network that others have trained.

    Args:
        model: the network, as train.model names it.
        setting: train.pretrained, which named the weights.
        tensors: by the names that the network's `state_dict` has, the head's among them.
        preprocessing: what these weights want to see; None if that is not known.
        source: where they come from, in words.
        sha256: of the file that they were in there.
        licence: None if it is not stated.
    """

    model: str
    setting: str
    tensors: dict[str, Tensor]
    preprocessing: Preprocessing | None
    source: str
    sha256: str
    licence: str | None

    def origin(self) -> dict[str, str | None]:
        """What a checkpoint tells of the weights that its training started from."""
        return {"source": self.source, "sha256": self.sha256, "licence": self.licence}


def named_file(setting: str) -> tuple[Path, str] | None:
    """The path and the SHA-256 of the file that train.pretrained, `setting`, names; None if it names none.

    A relative path starts from the current folder, or else from DVC_ROOT, which is the repository also in the copy
    where `dvc exp run --temp` works, without the files that Git ignores.
    """
    if AT_SHA256 not in setting:
        return None
    name, _, digest = setting.rpartition(AT_SHA256)
    path, of_repository = Path(name), Path(os.environ.get("DVC_ROOT", "."), name)
    return (of_repository if of_repository.is_file() and not path.is_file() else path), digest


def write_weights(weights: Pretrained | None, path: str | Path = WEIGHTS) -> None:
    """Write weights, or that there are none, atomically and with the same bytes each time."""
    if weights is None:
        write_tensors(path, KEY, {}, {"format": FORMAT, "setting": "none"})
        return
    description = {name: getattr(weights, name) for name in ("model", "setting", "source", "licence")}
    description |= {"source_sha256": weights.sha256, "preprocessing": None}
    if weights.preprocessing:
        description["preprocessing"] = asdict(weights.preprocessing)
    tensors = {name: tensor.clone() for name, tensor in weights.tensors.items()}  # they may share memory
    write_tensors(path, KEY, tensors, {"format": FORMAT, **description})


def read_weights(model: str, setting: str, path: str | Path = WEIGHTS) -> Pretrained | None:
    """Read what `write_weights` wrote for these values of train.model and train.pretrained; None for "none".

    Raises:
        InputError: if the file is missing, damaged, or was written for other values.
    """
    if setting == "none":
        return None
    remedy = "run `dvc repro`, or `python scripts/get_weights.py`"
    try:
        tensors, description = read_tensors(path, KEY)
    except FileNotFoundError:
        raise InputError(f"{path} not found: {remedy}.") from None
    if (description.get("model"), description.get("setting")) != (model, setting):
        raise InputError(f"{path} is not for train.model: {model} with train.pretrained: {setting}: {remedy}.")
    if description.get("format") != FORMAT:
        raise InputError(f"{path} was written by another version of this project: {remedy}.")
    try:
        preprocessing = None if (said := description["preprocessing"]) is None else Preprocessing.from_json(said)
        source, digest, licence = (description[name] for name in ("source", "source_sha256", "licence"))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} does not describe its own weights ({one_line(error)}): {remedy}.") from None
    return Pretrained(model, setting, tensors, preprocessing, source, digest, licence)


def take_over(network: Network, weights: Pretrained) -> int:
    """Copy pretrained weights into a network, but for the head, which starts from zeros as in BiT (arXiv 1912.11370).

    Random numbers there, which some networks draw large, would stay in directions that few images train. Returns how
    many tensors were copied. What the weights have beside the network's body is left out. Position embeddings for
    images of another side are resampled.

    Raises:
        InputError: if a tensor of the body is not among the weights, or has another shape there.
    """
    import torch

    of_head = {id(tensor) for tensor in network.head.state_dict(keep_vars=True).values()}
    state = network.module.state_dict(keep_vars=True)
    tensors = {name: tensor for name, tensor in state.items() if id(tensor) not in of_head}
    body = {name: tensor for name, tensor in tensors.items() if not name.endswith(COUNTER)}
    missing = [name for name in body if name not in weights.tensors]
    misshapen = _misshapen(body, weights.tensors)
    if misshapen and not missing:
        with suppress(RuntimeError, ValueError, TypeError):  # of whatever has another shape for another reason
            resampled = replace(weights, tensors=_resample(network, weights))
            if not _misshapen(body, resampled.tensors):
                misshapen, weights = [], resampled
    problems = []
    if missing:
        problems.append(f"{len(missing)} of the {len(body)} tensors before its head are missing, {missing[0]} first")
    if misshapen:
        name = misshapen[0]
        shapes = f"{name} is {list(weights.tensors[name].shape)}, not {list(body[name].shape)}"
        problems.append(f"{len(misshapen)} of {len(body)} have another shape: {shapes}")
        if weights.preprocessing:
            problems.append(f"they are for images of {weights.preprocessing.crop} pixels a side")
    if problems:
        raise InputError(f"the weights from {weights.source} do not fit {weights.model}: {'; '.join(problems)}.")
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter.zero_()
        for name, tensor in tensors.items():
            if name in weights.tensors:
                tensor.copy_(weights.tensors[name])
    return len(body)


def _misshapen(body: dict[str, Tensor], tensors: dict[str, Tensor]) -> list[str]:
    return [name for name in body if name in tensors and tensors[name].shape != body[name].shape]


def _resample(network: Network, weights: Pretrained) -> dict[str, Tensor]:
    """The weights with position embeddings for the network's images, as its library resamples them; else as they are.

    Raises:
        RuntimeError, ValueError, TypeError: if the library cannot do so.
    """
    side = network.preprocessing.crop
    if weights.model.startswith(TIMM):
        import timm

        overlay = {"state_dict": dict(weights.tensors), "custom_load": False}
        name = weights.model.removeprefix(TIMM)
        headless: Any = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0, img_size=side
        )
        return headless.state_dict()
    from torchvision.models import vision_transformer

    if isinstance(network.module, vision_transformer.VisionTransformer):
        patch = network.module.patch_size
        return vision_transformer.interpolate_embeddings(side, patch, OrderedDict(weights.tensors))
    return weights.tensors
