"""A moving average of the weights, which often answers better than the last of them."""

from classifier.network.network import Network

import torch


class Average:
    """The exponential moving average of a network's weights and statistics over the updates of a training.

    It follows closely at first, else it would remember random weights: the decay of update t is at most
    (1 + t) / (10 + t), as in TensorFlow's ExponentialMovingAverage.

    Args:
        network: what to average; `self.network` is a network of its own, with the average.
        decay: the share of the old average that an update keeps, in (0, 1).
    """

    def __init__(self, network: Network, decay: float):
        self.network, self.decay, self.updates = network.copy(), decay, 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        self.updates += 1
        kept = min(self.decay, (1 + self.updates) / (10 + self.updates))
        entrances = (self.network.entrance, network.entrance)  # all that calls reach can change, and nothing else
        pairs = zip(*(entrance.state_dict().values() for entrance in entrances), strict=True)
        for average, value in pairs:
            if value.is_floating_point():
                average.lerp_(value, 1 - kept)
            else:
                average.copy_(value)
