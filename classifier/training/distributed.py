"""Several processes that train one network together, as torchrun starts them; or one, which is alone.

Each makes its part of every global batch, as DistributedDataParallel wants it: gradients are averaged, so that all
take the same step. What is drawn at random, counted or measured is that of the whole batch or split. The first process
alone locks, writes and tells.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from classifier.config import TIMM
from classifier.errors import InputError
from classifier.network.network import Network
from classifier.training.resume import alone

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

PATIENCE = timedelta(minutes=10)  # with a process that does not answer
GLOO = "gloo", "Application timeout caused pair closure"  # words of its errors

Made = TypeVar("Made")


class Processes:
    """The processes of a training, seen from one of them. Here it is alone, and the whole is its own part."""

    rank, size = 0, 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def part(self, count: int) -> slice:
        """Which of `count` rows, of a batch or of a split, are this process's: parts differ in size by one at most."""
        least, rest = divmod(count, self.size)
        start = self.rank * least + min(self.rank, rest)
        return slice(start, start + least + (self.rank < rest))

    def prepare(self, network: Network, model: str) -> None:
        """Let the gradients of `network`, and what its batch norms see, be those of the whole batch."""

    def sum(self, values: Tensor) -> Tensor:
        """The sums over all processes."""
        return values

    def gather(self, rows: Tensor, count: int) -> Tensor:
        """All `count` rows, of which each process has its part, [part, …] to [count, …]."""
        return rows

    def agree(self, module: nn.Module) -> None:
        """Take over the buffers of the first process: where batch norm is not synchronised, statistics differ."""

    def from_first(self, make: Callable[[], Made]) -> Made:
        """What `make` makes in the first process."""
        return make()

    def draw_apart(self) -> None:
        """Let each process draw other numbers from the global generator, as dropout does, until it is seeded again."""

    @contextmanager
    def at_work(self, *locks: Path) -> Iterator[None]:
        """Hold the files `locks`, as `alone` does.

        Raises:
            InputError: if another training holds one, or another process of this one has ended.
        """
        with ExitStack() as stack:
            for path in locks:
                stack.enter_context(alone(path))
            yield


ALONE = Processes()


class Group(Processes):
    """One of several processes, once `join` has brought them together."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def prepare(self, network: Network, model: str) -> None:
        if next(network.module.parameters()).is_cuda:  # SyncBatchNorm works nowhere else
            if model.startswith(TIMM):
                from timm.layers import convert_sync_batchnorm as convert  # its norms contain the activation
            else:
                convert = nn.SyncBatchNorm.convert_sync_batchnorm
            convert(network.module)
        network.wrap(average_gradients)

    def sum(self, values: Tensor) -> Tensor:
        dist.all_reduce(values)
        return values

    def gather(self, rows: Tensor, count: int) -> Tensor:
        padded = rows.new_zeros((-(-count // self.size), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        sizes = [len(chunk) for chunk in torch.arange(count).tensor_split(self.size)]
        whole = torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
        return whole.contiguous(memory_format=torch.channels_last) if whole.dim() == 4 else whole

    def agree(self, module: nn.Module) -> None:
        for buffer in module.buffers():
            dist.broadcast(buffer, 0)

    def from_first(self, make: Callable[[], Made]) -> Made:
        made = [make() if self.first else None]
        dist.broadcast_object_list(made, 0)
        return made[0]  # type: ignore[return-value]

    def draw_apart(self) -> None:
        if not self.first:
            torch.manual_seed((torch.initial_seed() + self.rank) % 2**64)

    @contextmanager
    def at_work(self, *locks: Path) -> Iterator[None]:
        try:
            with super().at_work(*(locks if self.first else ())):
                dist.barrier()  # no other begins before the first has the locks
                yield
                dist.barrier()
        except RuntimeError as error:
            if not says_that_another_ended(error):
                raise
            raise InputError(
                f"process {self.rank} of {self.size} ends, because another one has ended or does not answer; if it had "
                "a reason, it has said so. The same command goes on from the last saved state."
            ) from None
        # gloo's group ends with the process: if destroyed right after its last work, it has been seen to wait, with
        # Python's lock, for a thread that waits for that lock.
        if dist.get_backend() == "nccl":
            dist.destroy_process_group()


def average_gradients(module: nn.Module) -> nn.Module:
    """The module in a wrapper whose gradients are the means over all processes; its buffers stay its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 has another name for this, which 2.11 does not know
        return DistributedDataParallel(module, broadcast_buffers=False)


def join(device: torch.device, batch_size: int) -> tuple[Processes, torch.device]:
    """The processes that torchrun started, and the device of this one; or this one, alone.

    Args:
        device: as DEVICE names it, or as there is one.
        batch_size: of the whole, which all have a part of.

    Raises:
        InputError: if there are not enough GPUs, the batch cannot be divided, or they do not find each other.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE, device
    if batch_size % size or batch_size < 2 * size:
        raise InputError(
            f"train.batch_size is {batch_size}, which {size} processes cannot share equally, two images or more each: "
            f"take a multiple of {size}, or another number of processes."
        )
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= (gpus := torch.cuda.device_count()):
            raise InputError(
                f"process {local} has no GPU: there are {gpus}. Take --nproc-per-node {gpus}, or DEVICE=cpu."
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        reason = str(error).splitlines()[0]
        raise InputError(f"the processes cannot meet at {where}: {reason} Try another --master-port.") from None
    group = Group()
    if not group.first:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the end)
    return group, device


def require_images(processes: Processes, counts: dict[str, int]) -> None:
    """Refuse a validation split, or a batch, that is too small to be shared.

    Args:
        counts: how many images there are, by what has them.

    Raises:
        InputError: if a process would get less than two.
    """
    for what, count in counts.items():
        if processes.size > 1 and count < 2 * processes.size:
            raise InputError(f"{what} has {count} images, too few for {processes.size} processes: start fewer.")


def says_that_another_ended(error: Exception) -> bool:
    """Whether it is what waiting for other processes raises.

    An error of gloo names its file there; but where two operations wait at once, as those of two buckets of gradients
    do, the one that gives up first ends the other one with a few words alone.
    """
    return isinstance(error, dist.DistError) or any(words in str(error) for words in GLOO)
