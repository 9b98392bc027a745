"""What one sees of a training while it runs: how long it will take, and how far it is."""

import sys
import time
from collections.abc import Iterable, Iterator

from classifier.errors import counted

from torch import Tensor
from tqdm import tqdm

EVERY = 30.0  # seconds between lines where no terminal shows a bar
UNSTEADY = 2  # steps at the start, slower than the others
MEASURED = (3, 1.0)  # steps and seconds, at least, from which to expect a duration
LONG = 60  # seconds; nobody wants to know of less


class Progress:
    """A bar on a terminal, else a line every half minute; and, once some steps are timed, the expected duration.

    Args:
        epochs: of the whole training.
        steps: of an epoch.
        images: that an epoch shows.
        done: epochs that an earlier run of the same training has finished.
        work: what the steps to come cost in all, validation included, in units of the first step's cost.
        shown: whether there may be a bar; of several processes, one shows it.
    """

    def __init__(self, epochs: int, steps: int, images: int, done: int, work: float, shown: bool = True):
        self.epochs, self.steps, self.images, self.work = epochs, steps, images, work
        self.epoch, self.shown = done, 0  # images of this epoch
        self.timed, self.seconds = -UNSTEADY, 0.0  # steps, and how long they took
        self.last = self.said = time.monotonic()
        self.expected = work > 0
        self.left = counted(epochs - done, "more epoch" if done else "epoch")
        disable = None if shown else True  # None: where there is no terminal
        self.bar = tqdm(total=epochs * images, initial=done * images, unit=" images", unit_scale=True, disable=disable)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def write(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        self.bar.write(line)
        sys.stdout.flush()  # a file or a pipe would hold an hour of lines back

    def update(self, images: int) -> None:
        """Hear that a step has shown so many images."""
        self.bar.update(images)
        self.shown += images
        now = time.monotonic()
        self.timed += 1
        if self.timed > 0:
            self.seconds += now - self.last
        self.last = now
        if self.expected and self.timed >= MEASURED[0] and self.seconds >= MEASURED[1]:
            self.expected = False
            seconds = self.seconds / self.timed * self.work
            if seconds >= LONG:
                self.write(f"{self.left} of {counted(self.steps, 'step')}: about {duration(seconds)}")
        if self.bar.disable and now - self.said >= EVERY:
            self.said = now
            self.write(f"epoch {self.epoch + 1}/{self.epochs}: {self.shown / self.images:.0%} of its images")

    def begin_epoch(self, epoch: int, shown: int = 0) -> None:
        """Hear that an epoch, counted from 0, comes next, of whose images an earlier run has `shown` so many."""
        self.epoch, self.shown = epoch, shown
        self.bar.update(shown)
        self.last = self.said = time.monotonic()


def watch(batches: Iterable[Tensor], split: str, images: int, shown: bool = True) -> Iterator[Tensor]:
    """The batches of a split that has so many images; meanwhile a bar, or a line every half minute, as above."""
    start = said = time.monotonic()
    done = 0
    with tqdm(desc=split, total=images, unit=" images", unit_scale=True, disable=None if shown else True) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))
            done += len(batch)
            now = time.monotonic()
            if bar.disable and now - said >= EVERY and done < images:
                said = now
                left = duration((now - start) / done * (images - done))
                print(f"{split}: {done / images:.0%} of {counted(images, 'image')}, about {left} more", flush=True)


def duration(seconds: float) -> str:
    """A duration in the unit in which one would say it."""
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return counted(round(seconds / length), unit)
    return counted(max(1, round(seconds)), "second")


def pace(speed: float) -> str:
    """Images a second, without decimals, or with two digits where there are few."""
    return f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}"
