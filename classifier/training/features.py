"""Training of the head alone: what the layers before it make of each image is computed once, not in each epoch."""

from classifier.config import TrainParams
from classifier.data.loader import ResidentSource, Source
from classifier.network.inference import batch_size
from classifier.network.network import Network
from classifier.training.distributed import Processes
from classifier.training.loop import Trainer
from classifier.training.progress import watch

import torch
from torch import Tensor, nn


def suffice(network: Network, params: TrainParams) -> bool:
    """Whether every epoch shows the head the same: frozen layers, and images that are mirrored at most."""
    new_pixels = params.augment or params.mixup or params.cutmix or params.low_res_share
    return params.freeze == "backbone" and not new_pixels and isinstance(network.head, nn.Linear)


class HeadAlone(Network):
    """A network's head, for features in the place of images; its module is still the whole network."""

    def __init__(self, network: Network):
        super().__init__(network.module, network.head, network.preprocessing)
        self.wrap(network._wrapper)

    @property
    def entrance(self) -> nn.Module:
        return self.head

    def see(self, features: Tensor) -> Tensor:
        return features[:, 0]


class HeadTrainer(Trainer):
    """A trainer of a head alone, on features as `compute` makes them."""

    def see(self, features: Tensor, size: int | None, mirror: Tensor | None) -> Tensor:
        if mirror is None:
            return features[:, 0]
        return features[torch.arange(len(features), device=features.device), mirror.long()]


def compute(
    network: Network, source: Source, split: str, dtype: torch.dtype, mirrored: bool, processes: Processes
) -> ResidentSource:
    """What the head of `network` gets for each image of a split and, if `mirrored`, for its mirror image; of which each
    process computes a part.

    Returns a source of float [N, 1 or 2, features], float32 at least, in the place of images.
    """
    seen: list[Tensor] = []
    features: list[Tensor] = []
    hook = network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.eval()
    part = processes.part(len(source.labels))
    batches = source.in_order(batch_size(network), part)
    with torch.inference_mode():
        for images in watch(batches, split, part.stop - part.start, processes.first):
            with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
                for view in (images, images.flip(-1))[: 1 + mirrored]:
                    network.module(network.see(view))
            stacked = torch.stack(seen, 1)
            features.append(stacked.to(torch.promote_types(stacked.dtype, torch.float32)))
            seen.clear()
    hook.remove()
    return ResidentSource(processes.gather(torch.cat(features), len(source.labels)), source.labels)
