"""Stage 2: train a network.

Reads  prepared/{train,val}.safetensors, prepared/dataset.json and the section `train` of params.yaml; and
       pretrained/weights.safetensors, unless train.pretrained is none.
Writes models/classifier.safetensors and plots/history.csv.

    python train.py              # on the GPU if there is one
    DEVICE=cpu python train.py
    torchrun --standalone --nproc-per-node 2 train.py    # two processes, each on a GPU of its own or on the CPU

After a crash the same command goes on from the last state that was saved (classifier/training/resume.py).
"""

import math
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from classifier.reproducibility import keep_large_blocks

keep_large_blocks()  # before torch allocates anything

from classifier.config import TrainParams, load_params
from classifier.data.augment import build_augment
from classifier.data.description import Description, load_description
from classifier.data.loader import Source, count_steps, open_source, sample
from classifier.errors import counted, run
from classifier.files import sha256, write_csv
from classifier.network.checkpoint import Metadata, save_checkpoint
from classifier.network.models import build_network, require_size
from classifier.network.network import Network
from classifier.network.preprocessing import Preprocessing
from classifier.network.pretrained import Pretrained, read_weights, take_over
from classifier.paths import CHECKPOINT, HISTORY, WEIGHTS
from classifier.reproducibility import choose_algorithms, describe_environment, select_device, set_precision
from classifier.tracking.tracker import Tracker, start_run
from classifier.training import features
from classifier.training.calibration import fit_temperature
from classifier.training.checks import training_problems
from classifier.training.compiler import make_compiler
from classifier.training.criterion import Criterion, weigh_classes
from classifier.training.distributed import join, require_images
from classifier.training.loop import Trainer, diverged
from classifier.training.progress import Progress, pace
from classifier.training.record import Epoch, Record
from classifier.training.resume import state_path
from classifier.training.validation import validate, validation_logits

import torch
from torch import Tensor

FEW_STEPS = 50  # updates, in which hardly any network learns what it could


def main() -> None:
    params = load_params("train", further=training_problems)
    description = load_description()
    augment = build_augment(params.augment, description.image_size, "train.augment", params.image_size)
    class_weights = weigh_classes(params.class_weights, description.splits["train"]["per_class"])
    weights = read_weights(params.model, params.pretrained)
    choose_algorithms(params.deterministic)
    processes, device = join(select_device(), params.batch_size)
    dtype = set_precision(params.precision, device)
    compiler = make_compiler(device, dtype, params.deterministic) if params.compile else None
    torch.manual_seed(params.seed)
    network = make_network(params, description, weights)
    low_res_size = round(params.low_res_scale * params.image_size)
    if params.low_res_share:
        require_size(network.module, params.model, low_res_size)

    train_set, val_set = (open_source(split, description, device) for split in ("train", "val"))
    batch = len(train_set.labels) // count_steps(train_set, params.batch_size)
    require_images(processes, {"a batch": batch, "the val split": len(val_set.labels)})
    network.to(device, torch.channels_last)  # in which convolutions are fastest
    if not weights:
        network.fit_to_data(lambda count: torch.cat([network.see(images) for images in sample(train_set, count)]))
    environment = describe_environment(device, dtype, params.model)
    if processes.size > 1:
        environment["processes"] = processes.size
    criterion = Criterion(class_weights.to(device), params.class_weighting, params.label_smoothing)
    identity = asdict(description) | ({"weights": sha256(WEIGHTS)} if weights else {})
    lasting = {key: value for key, value in environment.items() if key not in ("threads", "processes")}
    state = state_path(asdict(params), identity, lasting)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the same care as for Ctrl+C
    with processes.at_work(Path(".resume/lock"), state.with_suffix(".lock")):
        threads = counted(environment["threads"], "thread")
        print("training {0} on {processor}, {1}, {precision}".format(params.model, threads, **environment))
        trainer_class = Trainer
        if features.suffice(network, params):
            print("computing what the frozen layers make of each image, once", flush=True)
            train_set = features.compute(network, train_set, "train", dtype, params.flip != "none", processes)
            val_set = features.compute(network, val_set, "val", dtype, False, processes)
            network, trainer_class = features.HeadAlone(network), features.HeadTrainer
        elif compiler:
            network.compile(compiler)
        trainer = trainer_class(network, params, augment, criterion, low_res_size, device, dtype, processes)
        if (total := params.epochs * trainer.steps(train_set)) < FEW_STEPS:
            print(f"note: only {total} steps in all: a smaller train.batch_size or more train.epochs would learn more")
        tracker = start_run("train", environment) if processes.first else Tracker()
        history, trained = train_and_validate(trainer, train_set, val_set, state, tracker)
        temperature = calibrate(trainer, trained, val_set) if params.calibrate else 1.0
        if processes.first:
            write_csv(HISTORY, list(Epoch._fields), history)
            metadata = Metadata(
                model=params.model,
                classes=description.classes,
                preprocessing=network.preprocessing,
                environment=environment,
                temperature=temperature,
                pretrained=weights.origin() if weights else None,
            )
            save_checkpoint(CHECKPOINT, trained, metadata)
            tracker.finish()
            print(f"wrote {CHECKPOINT}: {which_epoch(history, params.keep)}")
            state.unlink(missing_ok=True)  # last, so that until then nothing is lost


def make_network(params: TrainParams, description: Description, weights: Pretrained | None) -> Network:
    """The network that `params` name, with the body of `weights` if there are any, else with random numbers."""
    colours = (weights and weights.preprocessing) or description  # weights want those that they were trained on
    preprocessing = Preprocessing(
        size=description.image_size,
        fit=description.fit,
        crop=params.image_size,
        interpolation="bilinear",
        mean=tuple(colours.mean),
        std=tuple(colours.std),
    )
    network = build_network(params.model, len(description.classes), preprocessing)
    if weights:
        count = take_over(network, weights)
        print(f"weights: {params.model} from {weights.source}, {count} tensors; the head is new")
    return network


def train_and_validate(
    trainer: Trainer, train_set: Source, val_set: Source, state: Path, tracker: Tracker
) -> tuple[list[Epoch], dict[str, Tensor]]:
    """Train all epochs, or what the file `state` says is left.

    Returns the history and the weights of the best or the last epoch.
    """
    epochs, steps = trainer.params.epochs, trainer.steps(train_set)
    record = Record(state, trainer, steps)
    for epoch_log in record.logged:
        tracker.log(**epoch_log)
    if str(record):
        print(f"going on after {record}, where an earlier run of the same training stopped")
    done = len(record.history)
    work = trainer.work(train_set, len(val_set.labels), done) - record.begun.steps
    with Progress(epochs, steps, len(train_set.labels), done, work, trainer.processes.first) as progress:
        for epoch in range(done, epochs):
            try:
                row, rest = train_and_validate_epoch(trainer, train_set, val_set, epoch, progress, record)
                record.add(row, row._asdict() | rest)
                tracker.log(**record.logged[-1])
            except KeyboardInterrupt:
                sys.exit(f"interrupted in epoch {epoch + 1}: the same command goes on from the last saved state.")
    return record.history, record.weights


def train_and_validate_epoch(
    trainer: Trainer, train_set: Source, val_set: Source, epoch: int, progress: Progress, record: Record
) -> tuple[Epoch, dict[str, Any]]:
    """Train one epoch, or what `record` says is left of it, validate, and print a line about both.

    Returns the row of the history, and what only the log gets: images/s and each class's validation recall.

    Raises:
        InputError: if a loss is not finite.
    """
    images = len(train_set.labels)
    shown = images * record.begun.steps // trainer.steps(train_set)  # about: batches differ by one
    progress.begin_epoch(epoch, shown)
    start = time.monotonic()
    lr, train_loss, train_accuracy = trainer.train_one_epoch(train_set, epoch, progress, record)
    speed = (images - shown) / (time.monotonic() - start)
    val_loss, val_accuracy, val_recall = validate(trainer, val_set)
    if not math.isfinite(val_loss):
        raise diverged("validation loss", val_loss, f"after epoch {epoch + 1}")
    progress.write(
        f"epoch {epoch + 1}/{trainer.params.epochs}  train loss {train_loss:.3f} accuracy {train_accuracy:.1%}  "
        f"val loss {val_loss:.3f} accuracy {val_accuracy:.1%}  {pace(speed)} images/s"
    )
    row = Epoch(epoch + 1, lr, train_loss, train_accuracy, val_loss, val_accuracy)
    return row, {"images_per_second": speed, "val_recall": val_recall}


def calibrate(trainer: Trainer, weights: dict[str, Tensor], val_set: Source) -> float:
    """The temperature of the network with these weights, fitted on the validation split."""
    trainer.judged.module.load_state_dict(weights)
    temperature = fit_temperature(validation_logits(trainer, val_set), val_set.labels)
    print(f"calibrated on the validation split: logits are divided by {temperature:g}")
    return temperature


def which_epoch(history: list[Epoch], keep: str) -> str:
    """Which epoch's weights were kept, and why."""
    if keep == "last":
        return f"the last epoch, {len(history)}, as train.keep says"
    best = max(history, key=lambda row: (row.val_accuracy, row.epoch))
    return f"epoch {best.epoch} of {len(history)}, which has the best validation accuracy, {best.val_accuracy:.1%}"


if __name__ == "__main__":
    run(main, together=True)
