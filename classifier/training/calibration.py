"""Temperature scaling: one number that makes a network as confident as it is often right (arXiv 1706.04599)."""

import numpy as np
from torch import Tensor

EXTREME = 100.0  # the hottest, and its inverse the coldest: further out, no answer changes visibly


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature T for which softmax(logits / T) has the smallest mean cross-entropy.

    The order of an image's logits, and so its answer, is the same at every temperature. Labels are taken for right
    with probability (N + 1) / (N + 2), as Platt (1999) did: without a single mistake among the N images, T would be
    zero and all later answers certain.

    Args:
        logits: float [N, num_classes] of images that the network was not trained on.
        labels: int64 [N].

    Returns:
        a positive number of four digits.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    z, y = logits.cpu().double().numpy(), labels.cpu().numpy()
    count, classes = z.shape
    doubt = 1 / (count + 2)
    right = z[np.arange(count), y]
    expected = (1 - doubt) * right + doubt * (z.sum(1) - right) / (
        classes - 1
    )  # the logit of a label that may be wrong

    def cross_entropy(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float(np.mean(logsumexp(z * scale, axis=1) - expected * scale))

    limit = np.log(EXTREME)
    found = minimize_scalar(cross_entropy, bounds=(-limit, limit), method="bounded", options={"xatol": 1e-6})
    return float(f"{np.exp(found.x):.4g}")
