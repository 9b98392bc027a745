"""What training minimises: cross-entropy, with class weights and label smoothing."""

from collections.abc import Mapping
from typing import Literal

from classifier.errors import InputError, nearest

import torch
import torch.nn.functional as F
from torch import Tensor

Weighting = Literal["loss", "logits", "sampling"]


class Criterion:
    """Mean cross-entropy of a batch, in which classes may weigh more or less.

    Class weights w act in one of three ways. "loss" multiplies an image's loss by its class's w. "logits" takes log w
    off the logits before the loss: the network makes up for it, and without it answers as the weights want. "sampling"
    leaves the loss alone: images are shown w times as often (classifier/training/order.py). All want the same answers,
    but a network that fits its training set has no loss left to multiply (Byrd and Lipton, arXiv 1812.03372), while
    the margin stays (logit adjustment: Menon et al., arXiv 2007.07314).

    Args:
        class_weights: float32 [num_classes], on the device of the logits to come.
        weighting: in which way they act.
        label_smoothing: the share of each label that is spread over all classes, in [0, 1).
    """

    def __init__(self, class_weights: Tensor, weighting: Weighting, label_smoothing: float):
        neutral = torch.ones_like(class_weights)
        self.loss_weights = class_weights if weighting == "loss" else neutral
        self.logit_offsets = (class_weights if weighting == "logits" else neutral).log()
        self.sampling_weights = class_weights if weighting == "sampling" else None
        self.label_smoothing = label_smoothing

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar, of logits [N, num_classes] and labels: int64 [N], or soft, float [N, num_classes].

        It is computed in float32 at least. An image of several classes weighs as much as they do, each by its share.
        """
        adjusted = logits.to(torch.promote_types(logits.dtype, torch.float32)) - self.logit_offsets
        per_image = F.cross_entropy(adjusted, labels, reduction="none", label_smoothing=self.label_smoothing)
        shares = labels.is_floating_point()
        weights = labels @ self.loss_weights.to(labels.dtype) if shares else self.loss_weights[labels]
        return (per_image * weights).mean()


def weigh_classes(setting: Mapping[str, float] | Literal["balanced"], per_class: Mapping[str, int]) -> Tensor:
    """The weight of each class in the loss, float32 [num_classes], from `train.class_weights`.

    Scaled so that the weights of the training images average one: weighting then shifts attention
    between classes without changing what the learning rate means.

    Args:
        setting: the weight of some classes, or "balanced" for the inverse of their frequency.
        per_class: the number of training images of every class, in the order of the logits.

    Raises:
        InputError: with a line for each class in `setting` that the dataset does not have.
    """
    if setting == "balanced":
        setting = {name: 1 / count for name, count in per_class.items()}
    if unknown := [name for name in setting if name not in per_class]:
        lines = (f"train.class_weights: the dataset has no class {n!r}, {nearest(n, per_class)}" for n in unknown)
        raise InputError("\n".join(lines))
    weights = torch.tensor([setting.get(name, 1.0) for name in per_class], dtype=torch.float64)
    counts = torch.tensor(list(per_class.values()))
    return (weights * counts.sum() / (weights * counts).sum()).float()
