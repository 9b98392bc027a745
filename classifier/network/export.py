"""A checkpoint as an ONNX model, which takes one image and gives probabilities.

Its input is uint8 [1, 3, H, W], its output float32 [1, num_classes]: normalisation, temperature and softmax are part
of it.
"""

import warnings
from typing import Any

from classifier.errors import InputError
from classifier.network.network import Network

import numpy as np
import torch
from torch import Tensor, nn

LARGE = 1024  # weights in a tensor; smaller ones (biases, norms) are not worth rounding


class _ImageToProbabilities(nn.Module):
    def __init__(self, network: Network):
        super().__init__()
        self.network = network
        self.normalize, self.module = network.normalize, network.module  # so that torch knows of their tensors

    def forward(self, image: Tensor) -> Tensor:
        return self.network.probabilities(self.module(self.network.see(image)))


def round_weights(network: Network) -> Network:
    """A copy of `network` whose large tensors hold only values that 16-bit floats have."""
    rounded = network.copy()
    for tensor in rounded.module.state_dict().values():
        if tensor.dtype == torch.float32 and tensor.numel() >= LARGE:
            tensor.copy_(tensor.half())
    return rounded


def to_onnx(network: Network, name: str) -> bytes:
    """The ONNX model; tensors that 16-bit floats hold exactly take two bytes a weight.

    Raises:
        InputError: if PyTorch cannot express the network in ONNX.
    """
    size = network.preprocessing.size
    image = torch.zeros(1, 3, size, size, dtype=torch.uint8)
    module = _ImageToProbabilities(network).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # they speak to developers of the exporter
        try:
            # Not optimised: folding norms into filters would give weights that 16 bits do not hold.
            exported = torch.onnx.export(module, (image,), dynamo=True, optimize=False, verbose=False)
        except ImportError as error:
            raise InputError(f"the package {error.name} is missing: run `make setup`.") from None
        except Exception as error:  # the exporter raises whatever its passes raise
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            raise InputError(f"the network {name} cannot be exported to ONNX: {reason}") from None
    assert exported is not None  # it is only where the model goes to a file
    proto = exported.model_proto  # made anew at each access
    _store_as_half(proto.graph)
    return proto.SerializeToString()


def _store_as_half(graph: Any) -> None:
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
