"""Train small networks for an epoch of ten steps, alone or as one of several processes, and write what came of it.

python one_of_several.py OUT, or torchrun … one_of_several.py OUT: a file in OUT for each kind and type of numbers
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from classifier.config import load_params
from classifier.data.augment import build_augment
from classifier.data.loader import ResidentSource
from classifier.network.models import build_network
from classifier.network.network import Network
from classifier.network.preprocessing import Preprocessing
from classifier.training import features
from classifier.training.criterion import Criterion
from classifier.training.distributed import ALONE, Processes, join
from classifier.training.loop import Trainer
from classifier.training.validation import validate

import torch
from safetensors.torch import save_file
from torch import nn

PREPROCESSING = Preprocessing(16, "crop", 16, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
SGD = {"optimizer": "sgd", "lr": 0.05}
BATCH_SIZE = 8
KINDS = {  # without Muon, which computes with 16 bits where the processor has them
    "plain": SGD | {"accumulate": 2, "flip": "alternating"},
    "with frozen norms": SGD | {"freeze": "norms", "mixup": 0.4, "cutmix": 1.0, "clip_norm": 0.5, "ema": 0.9},
    "with adamw": {"optimizer": "adamw", "lr": 0.005, "class_weighting": "logits"},
    "head alone": SGD | {"freeze": "backbone", "flip": "alternating"},
    "with norms": SGD,  # of which each process has its own statistics on the CPU
}
TYPES = {"float32": torch.float32, "float64": torch.float64}


def main(out: str) -> None:
    processes, _ = join(torch.device("cpu"), BATCH_SIZE)
    for kind in KINDS:
        for name, dtype in TYPES.items():
            train(Path(out, f"{kind}, {name}"), kind, dtype, processes)


def train(out: Path, kind: str, dtype: torch.dtype, processes: Processes) -> None:
    torch.manual_seed(0)
    count = 83  # so that batches have 8 or 9 images, and the parts of two processes differ
    params = replace(load_params("train"), batch_size=BATCH_SIZE, epochs=1, **KINDS[kind])
    network = build_network("airbench_small", 3, PREPROCESSING) if "norms" in kind else without_norms()
    for module in network.module, network.normalize:
        module.to(dtype)
    images = torch.randint(256, (count + 17, 3, 16, 16), dtype=torch.uint8)
    labels = torch.randint(3, (count + 17,))
    augment = build_augment({"RandomCrop": {"size": 16, "padding": 2}, "RandomErasing": {}}, 16, "train.augment")
    criterion = Criterion(torch.tensor([0.5, 1.0, 1.5]), params.class_weighting, 0.1)
    data, val = (ResidentSource(images[part], labels[part]) for part in (slice(count), slice(count, None)))
    trainer_class = Trainer
    if kind == "head alone":
        data = features.compute(network, data, "train", torch.float32, True, processes)
        val = features.compute(network, val, "val", torch.float32, False, processes)
        network, trainer_class = features.HeadAlone(network), features.HeadTrainer
    trainer = trainer_class(network, params, augment, criterion, 16, torch.device("cpu"), torch.float32, processes)
    after: dict[str, torch.Tensor] = {}

    def note(images: int) -> None:
        steps.append(images)
        state = network.module.state_dict()
        after.update({f"{len(steps)}.{name}": tensor.clone() for name, tensor in state.items()})

    steps: list[int] = []
    figures = trainer.train_one_epoch(data, 0, SimpleNamespace(update=note))
    figures += validate(trainer, val)
    trainer.processes = ALONE
    kept = validate(trainer, val)
    if processes.first:
        told = {"figures": figures, "kept": kept, "steps": steps}
        save_file(after, out, {name: json.dumps(values) for name, values in told.items()})


def without_norms() -> Network:
    head = nn.Linear(16, 3)
    layers = nn.Conv2d(3, 16, 3, stride=2), nn.GELU(), nn.Conv2d(16, 16, 3, stride=2), nn.GELU(), nn.Flatten(2)
    return Network(nn.Sequential(*layers, Mean(), head), head, PREPROCESSING)


class Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(2)


if __name__ == "__main__":
    main(*sys.argv[1:])
