"""What timm's training script and PyTorch's tutorial lack, to be compared by bench/transfer.py: a start and an end.

    python bench/inside.py NETWORK CHECKPOINT IMAGES/test

This answers the test images with what timm's script has trained. The tutorial, as bench/opponents.py adapts it, calls
the functions. All of this runs in the opponents' processes, so it imports only what those have imported.
"""

import json
import sys
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import ImageDataset, create_transform, resolve_model_data_config
from torch import nn
from torch.utils.data import DataLoader

ANSWERS = Path("answers.json")


def pretrained(name: str, weights: str) -> nn.Module:
    """One of timm's networks with the weights of a file."""
    return timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": weights})


@torch.inference_mode()
def answer(network: nn.Module, dataset: Any, class_to_idx: dict[str, int]) -> None:
    """Write answers.json: of each image of `dataset` its class, and that which the network takes it for."""
    network.eval()
    classes = {index: name for name, index in class_to_idx.items()}
    answers = []
    for images, labels in DataLoader(dataset, batch_size=64, num_workers=4):
        predictions = network(images).argmax(1)
        answers += [(classes[a], classes[b]) for a, b in zip(labels.tolist(), predictions.tolist(), strict=True)]
    ANSWERS.write_text(json.dumps(answers))


def main(name: str, checkpoint: str, folder: str) -> None:
    dataset = ImageDataset(folder)
    classes = dataset.reader.class_to_idx
    network = timm.create_model(name, num_classes=len(classes), checkpoint_path=checkpoint)
    dataset.transform = create_transform(**resolve_model_data_config(network))
    answer(network, dataset, classes)


if __name__ == "__main__":
    main(*sys.argv[1:])
