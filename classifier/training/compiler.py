"""torch.compile, which makes of a network's layers code of its own for the device."""

from typing import Any

from classifier.errors import InputError
from classifier.network.network import Wrapper

import torch
from torch import nn

GRAPHS = 64  # of one network: two sizes of batch and of images, and whether it learns; torch would give up after 8


def make_compiler(device: torch.device, dtype: torch.dtype, deterministic: bool) -> Wrapper:
    """What compiles a module, at its first call with images and with a batch of each size.

    Sizes are never taken for variable: the code for one depends on nothing that came before it, so that a training
    that goes on after a crash computes the same bits. `deterministic` chooses kernels without timing them.

    Raises:
        InputError: if this machine cannot compile for `device`, found by trying; on a CPU also for 16 bits, in which
            torch 2.13 gave the compiled default network gradients that were no numbers, and right answers.
    """
    if device.type == "cpu" and dtype != torch.float32:
        name = str(dtype).removeprefix("torch.")
        raise InputError(
            f"train.compile: true cannot be trusted on a CPU with {name}, in which compiled networks gave gradients "
            "that are no numbers: write train.precision: fp32 or train.compile: false in params.yaml."
        )

    def compiler(module: nn.Module) -> nn.Module:
        compiled: Any = torch.compile(module, dynamic=False, options={"deterministic": deterministic})
        return compiled

    torch._dynamo.config.recompile_limit = GRAPHS
    try:
        compiler(nn.Softmax(0))(torch.zeros(8, device=device))
    except Exception as error:  # of the compiler that is missing, of what it wrote, of the device
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"train.compile: true cannot be had on this machine's {device.type}: {reason}. Install a C++ compiler such "
            "as g++, and Python's headers, or write train.compile: false in params.yaml."
        ) from None
    return compiler
