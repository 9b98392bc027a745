"""How good the network is that a training would keep, on images that it does not learn from."""

from classifier.data.loader import Source
from classifier.network.inference import batch_size, predict_logits
from classifier.training.loop import Trainer

import torch.nn.functional as F
from torch import Tensor


def validate(trainer: Trainer, data: Source) -> tuple[float, float, list[float]]:
    """Mean cross-entropy, unweighted and unsmoothed, accuracy, and the recall of each class."""
    logits = validation_logits(trainer, data)
    correct = logits.argmax(1) == data.labels
    classes = logits.shape[1]
    recall = data.labels[correct].bincount(minlength=classes) / data.labels.bincount(minlength=classes)
    return F.cross_entropy(logits, data.labels).item(), correct.float().mean().item(), recall.tolist()


def validation_logits(trainer: Trainer, data: Source) -> Tensor:
    """Logits, float32 [N, num_classes], of the network that counts."""
    network, count = trainer.judged, len(data.labels)
    trainer.processes.agree(network.module)
    batches = data.in_order(batch_size(network), trainer.processes.part(count))
    return trainer.processes.gather(predict_logits(network, batches, trainer.dtype), count)
