"""What a training has achieved so far, in memory and in the file from which it goes on after a crash."""

import math
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from classifier.errors import InputError, one_line, out_of_memory, shown
from classifier.training.loop import Trainer
from classifier.training.resume import Begun, Parts, State, read_state, restore, save_state

import torch
from torch import Tensor

SAVE_EVERY = 300.0  # seconds; the environment variable of this name says otherwise


class Epoch(NamedTuple):
    """One row of plots/history.csv. Accuracies are fractions; lr is that of the first step."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


class Record(Parts):
    """The epochs of a training, what is begun of the next one, and the weights to keep: those of the best or last one.

    All of it, and what the trainer holds, is saved after each epoch, and SAVE_EVERY seconds after the last time within
    one. What `path` has is taken over.

    Args:
        path: the file with the state; the first process alone reads and writes it.
        trainer: which is brought to that state.
        steps: of an epoch.

    Raises:
        InputError: if the environment variable SAVE_EVERY is no number, or the file is whole and of no such training.
    """

    def __init__(self, path: Path, trainer: Trainer, steps: int):
        self.path, self.trainer = path, trainer
        self.history: list[Epoch] = []
        self.logged: list[dict[str, Any]] = []  # what the tracker was told of each epoch
        self.weights: dict[str, Tensor] = {}
        self.begun = Begun()
        self.seconds, self.saved = seconds_between_saves(), time.monotonic()
        if state := trainer.processes.from_first(self._read):
            try:
                self._take_over(state, steps)
            except Exception as error:  # a state whose digest is right may hold anything, and it is put into anything
                if out_of_memory(error):
                    raise
                raise InputError(
                    f"{path} does not hold a state of this training ({one_line(error)}): remove it to start afresh."
                ) from None

    def _take_over(self, state: State, steps: int) -> None:
        """Go on from a state; raises an exception of nearly any kind if it is none of this training."""
        trainer = self.trainer
        restore(state, trainer.modules(), trainer.optimizers)
        trainer.scaler.load_state_dict(state.values["scaler"])
        self.history = [Epoch(*row) for row in state.values["history"]]
        self.logged = state.values["logged"]
        self.weights, self.begun = state.groups.get("weights", {}), Begun(**state.groups["begun"])
        if trainer.average:
            trainer.average.updates = len(self.history) * steps + self.begun.steps
        if not all(type(value) in (int, float) and math.isfinite(value) for row in self.history for value in row):
            raise ValueError("its history has what is no number")
        if [row.epoch for row in self.history] != [*range(1, len(self.history) + 1)]:
            raise ValueError("its epochs are not in order")
        updates = [kept for name, kept in state.groups.get("optimizer", {}).items() if name.endswith(".step")]
        if not all(1 <= number.item() < math.inf for number in updates):
            raise ValueError("an optimizer has made less than one update")
        told = [{name: row[name] for name in Epoch._fields} for row in self.logged]
        if told != [row._asdict() for row in self.history]:
            raise ValueError("its log is of another history")
        left = steps if len(self.history) < trainer.params.epochs else 1  # the last step of an epoch ends it
        if len(self.history) > trainer.params.epochs or self.begun.steps >= left:
            raise ValueError("it has more steps than this training")
        if not all(values.shape == (self.begun.steps,) and values.dtype == torch.float32 for values in self.begun):
            raise ValueError("its losses and accuracies are not those of the steps begun")
        if self.history and _shapes(self.weights) != _shapes(trainer.judged.module.state_dict()):
            raise ValueError("the weights to keep are of another network")

    def _read(self) -> State | None:
        """The state of the file, unless another number of threads makes it that of a training with other bits."""
        state = read_state(self.path)
        if not state or state.values.get("processes") != self.trainer.processes.size:
            return state
        if (number := state.values.get("threads")) != threads():
            print(f"starting afresh: {self.path} is of a training with {shown(number)} threads a process")
            return None
        return state

    def __str__(self) -> str:
        """How far it is, such as "epoch 3" or "step 5 of epoch 4"; nothing where nothing is done."""
        if self.begun.steps:
            return f"step {self.begun.steps} of epoch {len(self.history) + 1}"
        return f"epoch {len(self.history)}" if self.history else ""

    def add(self, row: Epoch, logged: dict[str, Any]) -> None:
        """Note an epoch and what is logged of it, keep its weights if they are to be kept, and save."""
        self.history.append(row)
        self.logged.append(logged)
        if self.trainer.params.keep == "last" or row.val_accuracy >= max(row.val_accuracy for row in self.history):
            judged = self.trainer.judged.module
            self.weights = {name: tensor.detach().clone() for name, tensor in judged.state_dict().items()}
        self.begun = Begun()
        self.save(self.begun)

    def due(self) -> bool:
        return time.monotonic() - self.saved >= self.seconds

    def save(self, begun: Begun) -> None:
        if not self.trainer.processes.first:
            return
        values = {"history": self.history, "logged": self.logged, "scaler": self.trainer.scaler.state_dict()}
        values |= {"processes": self.trainer.processes.size, "threads": threads()}
        groups = {"weights": self.weights, "begun": begun._asdict()}
        save_state(self.path, self.trainer.modules(), self.trainer.optimizers, groups, values)
        self.saved = time.monotonic()


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def threads() -> int:
    return torch.get_num_threads()


def seconds_between_saves() -> float:
    """SAVE_EVERY, of the environment if it is there.

    Raises:
        InputError: if that is no number.
    """
    text = os.environ.get("SAVE_EVERY") or str(SAVE_EVERY)
    try:
        return float(text)
    except ValueError:
        raise InputError(f"SAVE_EVERY={text} must be a number of seconds.") from None
