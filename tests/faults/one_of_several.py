"""Train a small network for an epoch of ten steps, alone or as one of several processes, and write what came of it.

python one_of_several.py OUT.safetensors KIND, or torchrun … one_of_several.py …
"""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

from classifier.config import load_params
from classifier.data.augment import build_augment
from classifier.data.loader import ResidentSource
from classifier.network.models import build_network
from classifier.network.network import Network
from classifier.network.preprocessing import Preprocessing
from classifier.training.criterion import Criterion
from classifier.training.distributed import join
from classifier.training.loop import Trainer
from classifier.training.validation import validate

import torch
from safetensors.torch import save_file
from torch import nn

PREPROCESSING = Preprocessing(16, "crop", 16, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
SGD = {"optimizer": "sgd", "lr": 0.05}
KINDS = {
    "without norms": SGD | {"accumulate": 2, "flip": "alternating"},
    # SGD, since Muon computes with 16 bits where the processor has them.
    "with frozen norms": SGD | {"freeze": "norms", "mixup": 0.4, "cutmix": 1.0, "clip_norm": 0.5, "ema": 0.9},
}


def main(out: str, kind: str) -> None:
    torch.manual_seed(0)
    count = 83  # so that batches have 8 or 9 images, and the parts of two processes differ
    params = replace(load_params("train"), batch_size=8, epochs=1, **KINDS[kind])
    processes, device = join(torch.device("cpu"), params.batch_size)
    network = without_norms() if kind == "without norms" else build_network("airbench_small", 3, PREPROCESSING)
    images = torch.randint(256, (count + 17, 3, 16, 16), dtype=torch.uint8)
    labels = torch.randint(3, (count + 17,))
    augment = build_augment({"RandomCrop": {"size": 16, "padding": 2}, "RandomErasing": {}}, 16, "train.augment")
    criterion = Criterion(torch.tensor([0.5, 1.0, 1.5]), "loss", 0.1)
    trainer = Trainer(network, params, augment, criterion, 16, device, torch.float32, processes)
    after: dict[str, torch.Tensor] = {}

    def note(images: int) -> None:
        steps.append(images)
        state = network.module.state_dict()
        after.update({f"{len(steps)}.{name}": tensor.clone() for name, tensor in state.items()})

    steps: list[int] = []
    figures = trainer.train_one_epoch(ResidentSource(images[:count], labels[:count]), 0, SimpleNamespace(update=note))
    figures += validate(trainer, ResidentSource(images[count:], labels[count:]))
    if processes.first:
        save_file(after, out, {"figures": json.dumps(figures), "steps": json.dumps(steps)})


def without_norms() -> Network:
    head = nn.Linear(16, 3)
    layers = nn.Conv2d(3, 16, 3, stride=2), nn.GELU(), nn.Conv2d(16, 16, 3, stride=2), nn.GELU(), nn.Flatten(2)
    return Network(nn.Sequential(*layers, Mean(), head), head, PREPROCESSING)


class Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(2)


if __name__ == "__main__":
    main(*sys.argv[1:])
