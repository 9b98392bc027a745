"""Weights that timm knows, by their tag: a1_in1k. They lie on the Hugging Face Hub."""

from pathlib import Path
from typing import Any

from classifier.config import PACKAGED, TIMM
from classifier.errors import InputError, nearest
from classifier.files import sha256
from classifier.network.preprocessing import Preprocessing
from classifier.network.pretrained import Pretrained
from classifier.network.sources.download import PATH_FORM, TIMEOUT, unreachable
from classifier.network.sources.reading import first_line, load_tensors

SHA256_LENGTH = 64  # digits; the Hub names large files by it, and small ones by a SHA-1


def fetch(model: str, setting: str) -> Pretrained:
    """The weights of this tag, from the Hub's cache (HF_HOME), where they are put if they are not there.

    Raises:
        InputError: if timm has no such network or weights, or they cannot be fetched, or are damaged.
    """
    import timm

    architecture = model.removeprefix(TIMM)
    names = timm.list_pretrained(f"{architecture}.*")
    if f"{architecture}.{setting}" not in names:
        if not timm.is_model(architecture):
            networks = [TIMM + name for name in timm.list_models()]
            raise InputError(f"train.model: no network is called {model!r}, {nearest(model, networks)}")
        others = ["none", "package"] if model in PACKAGED else ["none"]
        known = nearest(setting, [name.partition(".")[2] for name in names] + others)
        raise InputError(f"train.pretrained: timm has no weights {setting!r} for {architecture}, {known}")
    name = f"{architecture}.{setting}"
    description: Any = timm.get_pretrained_cfg(name)
    if not description.hf_hub_id:
        raise InputError(
            f"train.pretrained: {name} is not on timm's hub: fetch {description.url}, and write {PATH_FORM}."
        )
    path = _hub_file(description.hf_hub_id, model)
    # timm's own way from the file's names to the network's; what it is given has been checked.
    overlay = {"state_dict": load_tensors(path), "custom_load": False}
    try:
        network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} does not hold the weights of {name}: {first_line(error)}") from None
    preprocessing, licence = _to_preprocessing(description), description.license
    return Pretrained(model, setting, network.state_dict(), preprocessing, f"timm {name}", sha256(path), licence)


def usual_preprocessing(model: str) -> Preprocessing | None:
    """What timm says of a network's input; None if it has no weights for it."""
    import timm

    description = timm.get_pretrained_cfg(model.removeprefix(TIMM))
    return _to_preprocessing(description) if description else None


def _to_preprocessing(description: Any) -> Preprocessing:
    """What timm says of the input, its side rounded down as timm does."""
    crop = description.input_size[-1]
    fit = {"center": "crop", "border": "pad", "squash": "squash"}[description.crop_mode]
    size = int(crop / description.crop_pct)
    interpolation = description.interpolation if description.interpolation == "bilinear" else "bicubic"
    return Preprocessing(size, fit, crop, interpolation, tuple(description.mean), tuple(description.std))


def _hub_file(repository: str, model: str) -> Path:
    """The file of weights in a repository of the Hugging Face Hub: from its cache, else from the Hub.

    safetensors is preferred. A file that the Hub names by its SHA-256, as it does large ones, is checked against it.

    Raises:
        InputError: if it can neither be found nor be fetched.
    """
    try:
        import huggingface_hub as hub
        from huggingface_hub.errors import RemoteEntryNotFoundError
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
        except RemoteEntryNotFoundError:  # the Hub's answer; LocalEntryNotFoundError says that there was none
            continue
        except Exception as error:  # whatever its HTTP library raises: that changed with its versions
            raise unreachable(url, error, files[0], folder, model) from None
        return _check_blob(Path(path))
    raise InputError(f"{repository} on the Hub has neither {' nor '.join(files)}.")


def _check_blob(path: Path) -> Path:
    published = path.resolve().name
    if len(published) == SHA256_LENGTH and (found := sha256(path)) != published:
        raise InputError(
            f"{path} is damaged: its SHA-256 is {found}, not {published}. Remove {path.resolve()}, and run again."
        )
    return path
