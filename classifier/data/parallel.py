"""Work on the images of a dataset, by all cores and in order, with few images in memory at a time."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from classifier.data.layouts.base import Sample

WORTH_A_THREAD = 256 << 10  # bytes of images; what is less is done sooner than handed to a thread and back

Result = TypeVar("Result")


def on_all_cores(work: Callable[[Sample], Result], samples: Iterator[Sample]) -> Iterator[Result]:
    """What `work` makes of each sample, in order.

    Threads do it: Pillow and hashlib leave the interpreter to others meanwhile. Samples are read two groups a core
    ahead, so that neither cores nor the disk wait.
    """
    cores = os.cpu_count() or 1
    waiting: deque[Future[list[Result]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for group in worth_a_thread(samples):
            waiting.append(pool.submit(_work_on, work, group))
            if len(waiting) > 2 * cores:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def worth_a_thread(samples: Iterator[Sample]) -> Iterator[list[Sample]]:
    """Samples in groups of WORTH_A_THREAD bytes; a larger one is a group by itself."""
    group: list[Sample] = []
    size = 0
    for sample in samples:
        group.append(sample)
        size += len(sample.image) if isinstance(sample.image, bytes) else sample.image.nbytes
        if size >= WORTH_A_THREAD:
            yield group
            group, size = [], 0
    yield group


def _work_on(work: Callable[[Sample], Result], group: list[Sample]) -> list[Result]:
    return [work(sample) for sample in group]
