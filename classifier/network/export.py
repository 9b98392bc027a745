"""A checkpoint as an ONNX model, and the runtime that runs it in a browser.

The ONNX model takes one image, uint8 [1, 3, H, W], and gives probabilities, float32 [1, num_classes]:
normalisation and softmax are part of it.
"""

import base64
import copy
import gzip
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import warnings
from pathlib import Path

from classifier.errors import InputError
from classifier.network.checkpoint import Metadata
from classifier.network.inference import Normalize

import numpy as np
import torch
from torch import Tensor, nn

# https://github.com/microsoft/onnxruntime, MIT licence. The digest is the one that npm publishes, as its lock files do.
RUNTIME = "onnxruntime-web@1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
RUNTIME_FILES = {"script": "ort.wasm.bundle.min.mjs", "wasm": "ort-wasm-simd-threaded.wasm"}
CACHE = Path(".cache")
TIMEOUT = 300  # seconds for 33 MB

LARGE = 1024  # weights in a tensor; smaller ones (biases, norms) are not worth rounding


class _ImageToProbabilities(nn.Module):
    def __init__(self, model: nn.Module, metadata: Metadata):
        super().__init__()
        self.normalize = Normalize(metadata.mean, metadata.std, torch.device("cpu"))
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model(self.normalize(image)).softmax(1)


def round_weights(model: nn.Module) -> nn.Module:
    """A copy of `model` whose large tensors hold only values that 16-bit floats have."""
    rounded = copy.deepcopy(model)
    for tensor in rounded.state_dict().values():
        if tensor.dtype == torch.float32 and tensor.numel() >= LARGE:
            tensor.copy_(tensor.half())
    return rounded


def to_onnx(model: nn.Module, metadata: Metadata) -> bytes:
    """The ONNX model; tensors that 16-bit floats hold exactly take two bytes a weight.

    Raises:
        InputError: if PyTorch cannot express the network in ONNX.
    """
    image = torch.zeros(1, 3, metadata.image_size, metadata.image_size, dtype=torch.uint8)
    network = _ImageToProbabilities(model, metadata).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # they speak to developers of the exporter
        try:
            # Not optimised: folding norms into filters would give weights that 16 bits do not hold.
            exported = torch.onnx.export(network, (image,), dynamo=True, optimize=False, verbose=False).model_proto
        except ImportError as error:
            raise InputError(f"the package {error.name} is missing: run `make setup`.") from None
        except Exception as error:  # the exporter raises whatever its passes raise
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            raise InputError(f"the network {metadata.model} cannot be exported to ONNX: {reason}") from None
    _store_as_half(exported.graph)
    return exported.SerializeToString()


def _store_as_half(graph) -> None:
    """Replace each large initializer that loses nothing by it: 16-bit floats, cast to 32 bits when the model loads."""
    from onnx import TensorProto, helper, numpy_helper

    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < LARGE:
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.array_equal(half, values):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
            graph.node.insert(0, helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))


def fetch_runtime() -> dict[str, bytes]:
    """The files of ONNX Runtime Web, as RUNTIME_FILES names them; npm fetches them once.

    Raises:
        InputError: if there is no npm, no network, or npm brings something else.
    """
    archive = CACHE / f"{RUNTIME.replace('@', '-')}.tgz"
    if not archive.exists():
        _download(archive)
    if _integrity(archive) != INTEGRITY:
        raise InputError(f"{archive} is not {RUNTIME} as it was published: remove it and run again.")
    with tarfile.open(archive) as tar:
        return {key: tar.extractfile(f"package/dist/{name}").read() for key, name in RUNTIME_FILES.items()}


def _download(archive: Path) -> None:
    npm = shutil.which("npm")
    if not npm:
        raise InputError(f"npm not found, which fetches {RUNTIME}: install Node.js, or export on another machine.")
    archive.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        command = [npm, "pack", RUNTIME, "--pack-destination", folder, "--fetch-retries=0", "--loglevel=error"]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise InputError(f"npm did not fetch {RUNTIME} within {TIMEOUT} s: is there a network?") from None
        fetched = Path(folder) / archive.name
        if result.returncode or not fetched.exists():
            lines = [line for line in result.stderr.splitlines() if line.startswith("npm error") and "log" not in line]
            reason = "; ".join(line.removeprefix("npm error ") for line in lines[:2]) or "it says nothing more"
            raise InputError(f"npm could not fetch {RUNTIME} (is there a network?): {reason}")
        fetched.replace(archive)


def _integrity(path: Path) -> str:
    with open(path, "rb") as file:
        return "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()


def pack(data: bytes) -> str:
    """gzip and base64, for a page: the same bytes each time."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()
