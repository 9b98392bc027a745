"""The device, and what makes a run on it fast and repeatable. Imported before anything heavy."""

import ctypes
import os
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from classifier.config import TIMM
from classifier.errors import InputError

if TYPE_CHECKING:
    import torch


def keep_large_blocks() -> None:
    """Let glibc's malloc keep freed tensors on its heap instead of returning them to the kernel.

    By default every activation of more than 128 KiB is mapped anew at each step, and the page
    faults cost up to half of the time (`bench/malloc.py`). Call it before torch allocates.
    """
    if platform.libc_ver()[0] == "glibc":
        trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
        libc = ctypes.CDLL(None)
        if not libc.mallopt(mmap_threshold, 1 << 30):
            libc.mallopt(mmap_threshold, 32 << 20)  # all that older versions take
        libc.mallopt(trim_threshold, (1 << 31) - 1)


def select_device() -> "torch.device":
    """The device that the environment variable DEVICE names, or the GPU if there is one.

    Raises:
        InputError: if DEVICE names a device that torch does not know or cannot use.
    """
    import torch

    name = os.environ.get("DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"DEVICE={name} cannot be used: {str(error).splitlines()[0]}") from None
    return device


def choose_algorithms(deterministic: bool) -> None:
    """Ask torch for the algorithms that give the same bits each time, or for the fastest.

    It warns where an operation has none of the former, rather than stopping the run.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    import torch

    # As use_deterministic_algorithms(…, warn_only=True), which for two seconds imports torch's compiler, too.
    torch.set_deterministic_debug_mode("warn" if deterministic else "default")
    # A debugging aid, paid for at every tensor. torch defines it where type checkers do not see it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not deterministic  # which times several algorithms and takes the fastest


def describe_environment(device: "torch.device", dtype: "torch.dtype", model: str) -> dict[str, Any]:
    """What decides the bits of a training of `model` beside its code, data and parameters, as JSON values."""
    import torch

    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    else:
        amx = " AMX" if torch.cpu._is_amx_tile_supported() else ""
        processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}{amx}"
    return {
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        **({"timm": version("timm")} if model.startswith(TIMM) else {}),
        "device": device.type,
        "processor": processor,
        "threads": torch.get_num_threads(),
        "precision": "tf32" if torch.backends.cuda.matmul.allow_tf32 else str(dtype).removeprefix("torch."),
    }


def step_seed(seed: int, epoch: int, step: int) -> int:
    """A seed for one training step, so that its draws depend on nothing that came before it."""
    return ((seed * 1_000_003 + epoch) * 1_000_003 + step) % 2**64


def has_bf16(device: "torch.device") -> bool:
    """Whether the hardware computes with bf16: x86-64 CPUs with AVX-512 BF16, CUDA from compute capability 8 on.

    Others emulate it, at a tenth of the speed of fp32 or less.
    """
    import torch

    if device.type == "cpu":
        return platform.machine() in ("x86_64", "AMD64") and torch.cpu._is_avx512_bf16_supported()
    return device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8


def set_precision(precision: str, device: "torch.device") -> "torch.dtype":
    """Compute in `precision` on `device` from now on; returns the dtype for torch.autocast.

    "tf32" stores what fp32 does; a GPU may round the factors of matrix products and convolutions to 10 bits after the
    point, which is several times faster. Where the hardware knows no TF32, as CPUs, it is fp32.
    """
    import torch

    tf32 = precision == "tf32" and device.type == "cuda" and has_bf16(device)  # both came with capability 8
    # Not by their successors fp32_precision: torch.compile still reads these, and fails where both were used.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    return autocast_dtype(precision, device)


def autocast_dtype(precision: str, device: "torch.device") -> "torch.dtype":
    """The dtype that `precision` computes in, or for "auto" the fastest that the hardware has.

    bf16 where the hardware has it, fp16 on older CUDA devices, else fp32.
    """
    import torch

    if precision != "auto":
        dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16}
        return dtypes.get(precision, torch.float32)
    if has_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32
