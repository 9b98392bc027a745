"""A checkpoint as an ONNX model, which takes one image and gives probabilities.

Its input is uint8 [1, 3, H, W], its output float32 [1, num_classes]: normalisation and softmax are part of it.
"""

import copy
import warnings

from classifier.errors import InputError
from classifier.network.checkpoint import Metadata
from classifier.network.inference import Normalize

import numpy as np
import torch
from torch import Tensor, nn

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
