"""How far a share of so many images can be trusted."""

import numpy as np

Z = 1.959963984540054  # of a normal distribution, 95 % lie within ± Z


def wilson(right: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of Wilson's 95 % interval for the share `right` / `images`, elementwise.

    It stays within 0 and 1 and has a width also where all or none are right (Brown, Cai and DasGupta 2001). Of no
    images, nothing is known: 0 to 1.
    """
    right, images = np.asarray(right, float), np.asarray(images, float)
    seen = np.maximum(images, 1)
    share, spread = right / seen, Z**2 / seen
    centre = (share + spread / 2) / (1 + spread)
    half = Z * np.sqrt(share * (1 - share) / seen + spread / (4 * seen)) / (1 + spread)
    known = images > 0
    return np.where(known, np.maximum(centre - half, 0), 0.0), np.where(known, np.minimum(centre + half, 1), 1.0)


def newcombe(right: int, images: int, other_right: int, other_images: int) -> tuple[float, float]:
    """The bounds of a 95 % interval for how far another share is above the first (Newcombe 1998, method 10)."""
    shares = np.array([right / max(images, 1), other_right / max(other_images, 1)])
    low, high = wilson(np.array([right, other_right]), np.array([images, other_images]))
    gap = shares[1] - shares[0]
    down = np.hypot(high[0] - shares[0], shares[1] - low[1])
    up = np.hypot(shares[0] - low[0], high[1] - shares[1])
    return float(gap - down), float(gap + up)
