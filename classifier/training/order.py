"""In which order, and how often, an epoch shows the training images."""

import torch
from torch import Tensor


def epoch_order(image_weights: Tensor | None, count: int, generator: torch.Generator) -> Tensor:
    """The images of an epoch in a random order, int64 [count]: each once, or as often as it weighs.

    An image of weight w is shown floor(w) or ceil(w) times, w on average (systematic resampling), so that nothing is
    left to chance but fractions, and an epoch is as long as without weights.

    Args:
        image_weights: float [count], of mean one; None for all alike.
    """
    order = torch.randperm(count, generator=generator)
    if image_weights is None:
        return order
    shown = image_weights[order].double().cumsum(0)
    marks = (torch.arange(count) + torch.rand((), generator=generator)) * (shown[-1] / count)
    drawn = order[torch.searchsorted(shown, marks).clamp(max=count - 1)]
    return drawn[torch.randperm(count, generator=generator)]  # apart: copies of an image come one after the other
