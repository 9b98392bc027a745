"""A prepared split as a source of batches, wherever its images lie: which place that is changes no bit of a batch."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from classifier.data.description import Description
from classifier.data.prepared import map_split
from classifier.data.rows import Rows
from classifier.errors import InputError
from classifier.paths import split_path

import numpy as np
import torch
from torch import Tensor

PLACES = ("device", "memory", "disk")  # for the environment variable SPLITS
ROOM = 0.5  # share of what is free that a split may fill: the rest is for training
AHEAD = 2  # batches that are made ready while the network works on another
LOADED_AT_ONCE = 64 << 20  # bytes of a split on its way into memory
SAMPLED_AT_ONCE = 32  # images
ALL = slice(None)


class Source(Protocol):
    """The images of a split and their labels. Labels are small and lie on the device; images need not."""

    labels: Tensor  # int64 [N]

    def batches(self, indices: Iterable[Tensor]) -> Iterator[Tensor]:
        """For each of `indices`, int64 [n], those images on the device: uint8 [n, 3, H, W]."""

    def in_order(self, batch_size: int, part: slice = ALL) -> Iterator[Tensor]:
        """A part of the split in its order, in batches of `batch_size`; the last may be smaller."""


class ResidentSource:
    """A split that lies on the device as a whole.

    Args:
        images: uint8 [N, 3, H, W].
        labels: int64 [N].
    """

    def __init__(self, images: Tensor, labels: Tensor):
        self.images, self.labels = images, labels

    def batches(self, indices: Iterable[Tensor]) -> Iterator[Tensor]:
        return (self.images[chosen] for chosen in indices)

    def in_order(self, batch_size: int, part: slice = ALL) -> Iterator[Tensor]:
        return iter(self.images[part].split(batch_size))


class StreamingSource:
    """A split that lies in memory or on a disk, of which a thread brings the next batches to the device.

    Args:
        images: uint8 [N, 3, H, W], an array or rows of a file.
        labels: int64 [N], on that device.
    """

    def __init__(self, images: np.ndarray | Rows, labels: Tensor):
        self.images, self.labels = images, labels
        self.transfer = PinnedTransfer(labels.device) if labels.is_cuda else PlainTransfer(labels.device)

    def batches(self, indices: Iterable[Tensor]) -> Iterator[Tensor]:
        numbers = [chosen.cpu().numpy() for chosen in indices]  # before the device is busy, for which this would wait
        waiting: deque[Future] = deque()
        with ThreadPoolExecutor(1) as thread:  # when who asks stops asking, it ends after AHEAD more batches
            for chosen in numbers:
                waiting.append(thread.submit(self.transfer.send, self.images, chosen))
                if len(waiting) > AHEAD:
                    yield self.transfer.receive(waiting.popleft().result())
            while waiting:
                yield self.transfer.receive(waiting.popleft().result())

    def in_order(self, batch_size: int, part: slice = ALL) -> Iterator[Tensor]:
        return self.batches(torch.arange(len(self.labels))[part].split(batch_size))


class PlainTransfer:
    """Takes batches to a device that shares the processor's memory, or has no better way."""

    def __init__(self, device: torch.device):
        self.device = device

    def send(self, images: np.ndarray | Rows, chosen: np.ndarray) -> Any:
        """In the thread: copy the chosen images."""
        batch = torch.empty((len(chosen), *images.shape[1:]), dtype=torch.uint8)
        _copy(images, chosen, batch)
        return batch.to(self.device)

    def receive(self, sent: Any) -> Tensor:
        """What was sent, for who computes."""
        return sent


class PinnedTransfer(PlainTransfer):
    """Takes batches to a GPU while it computes: through pinned buffers, used in turn, on a CUDA stream of its own."""

    def __init__(self, device: torch.device):
        super().__init__(device)
        self.stream = torch.cuda.Stream(device)
        self.lanes = deque((torch.empty(0, dtype=torch.uint8), torch.cuda.Event()) for _ in range(AHEAD + 1))

    def send(self, images: np.ndarray | Rows, chosen: np.ndarray) -> Any:
        """In the thread: copy the chosen images to a buffer, and begin to copy that to the device."""
        buffer, copied = self.lanes.popleft()
        copied.synchronize()  # the buffer's last batch has left it
        shape = (len(chosen), *images.shape[1:])
        if buffer.numel() < (needed := int(np.prod(shape))):
            buffer = torch.empty(needed, dtype=torch.uint8, pin_memory=True)
        batch = buffer[:needed].view(shape)
        _copy(images, chosen, batch)
        with torch.cuda.stream(self.stream):
            moved = batch.to(self.device, non_blocking=True)
            copied.record(self.stream)
        self.lanes.append((buffer, copied))
        return moved, copied

    def receive(self, sent: Any) -> Tensor:
        """What was sent, for who computes: what is asked of the device from now on waits until it is there."""
        moved, copied = sent
        current = torch.cuda.current_stream(self.device)
        current.wait_event(copied)
        moved.record_stream(current)  # its memory is not used for another batch before that is done
        return moved


def open_source(split: str, description: Description, device: torch.device) -> Source:
    """A prepared split, for `device`: on it, in memory, or left on the disk, as SPLITS says or as there is room.

    Raises:
        InputError: if its file is missing or is not the one that dataset.json describes, or there is no room where
            SPLITS wants it.
    """
    images, read = map_split(split, description)
    labels = torch.from_numpy(read.copy()).to(device)
    place = choose_place(split, images.nbytes, device)
    if place == "device":
        return ResidentSource(load(images, device), labels)
    return StreamingSource(load(images, torch.device("cpu")).numpy() if place == "memory" else images, labels)


def choose_place(split: str, needed: int, device: torch.device) -> str:
    """Where `needed` bytes of images are to lie: the first of PLACES with room for them, or what SPLITS names.

    Raises:
        InputError: if SPLITS names no place, or one that is too small.
    """
    room = {"device": free_memory(device), "memory": free_memory(torch.device("cpu"))}
    if place := os.environ.get("SPLITS"):
        if place not in PLACES:
            raise InputError(
                f"SPLITS={place} is no place for the splits: take {', '.join(PLACES)}, or none for what fits."
            )
        if needed > (there := room.get(place, needed)):
            where = str(device) if place == "device" else "memory"
            raise InputError(
                f"{split_path(split)} is {needed / 1e9:.1f} GB once loaded, and {where} has {there / 1e9:.1f} GB free: "
                f"leave SPLITS={place} out, or take SPLITS=disk."
            )
        return place
    return next((place for place in room if needed <= ROOM * room[place]), "disk")


def free_memory(device: torch.device) -> int:
    """Bytes that could be taken: of a GPU what is free; else of the machine's memory, or of what a job may have."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, StopIteration):  # Linux
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ValueError):  # a container's or a Slurm job's limit; "max" is none
        group = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2]
        limits.append(int(Path("/sys/fs/cgroup", group.lstrip("/"), "memory.max").read_text()))
    return min(limits)


def load(images: Rows, device: torch.device) -> Tensor:
    """All images of a split on a device, uint8 [N, 3, H, W], checked; no second copy of them is in memory meanwhile."""
    loaded = torch.empty(images.shape, dtype=torch.uint8, device=device)
    step = max(1, LOADED_AT_ONCE * len(images) // max(1, images.nbytes))
    for start in range(0, len(images), step):
        loaded[start : start + step] = torch.from_numpy(images[start : start + step])
    return loaded


def count_steps(data: Source, batch_size: int) -> int:
    """The number of batches of equal size in an epoch: of about `batch_size` images, and of two at least."""
    count = len(data.labels)
    return max(1, min(round(count / batch_size), count // 2))


def sample(data: Source, count: int) -> Iterator[Tensor]:
    """`count` random images of a split, or all if it has fewer, from torch's global generator, in small batches."""
    chosen = torch.randperm(len(data.labels))[:count].to(data.labels.device)
    return data.batches(chosen.split(SAMPLED_AT_ONCE))


def _copy(images: np.ndarray | Rows, chosen: np.ndarray, batch: Tensor) -> None:
    """Copy the chosen images to `batch`, which is in the processor's memory."""
    if isinstance(images, Rows):
        images.read(chosen, batch.numpy())
    else:
        np.take(images, chosen, axis=0, out=batch.numpy(), mode="clip")  # the mode that needs no further copy
