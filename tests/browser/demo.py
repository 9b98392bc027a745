"""How tests use demo.html: files go in, answers are read."""

from classifier.data.images import decode
from classifier.network.network import Network
from classifier.network.preprocessing import Preprocessing

import numpy as np
import pytest
import torch

TOLERANCE = 1e-4  # between probabilities that the same weights give for the same pixels, summed in another order
LOCAL = {"file", "blob", "data", "about"}  # addresses that need no network


def ask(page, *files: bytes, name: str = "image") -> list:
    """Upload files; returns an element for each answer."""
    payloads = [{"name": f"{name}-{i}", "mimeType": "", "buffer": data} for i, data in enumerate(files)]
    page.locator("#files").set_input_files(payloads)
    page.locator("#answers > div:first-child .answer").nth(len(files) - 1).wait_for(timeout=120_000)
    return page.locator("#answers > div:first-child .answer").all()


def predict(network: Network, preprocessing: Preprocessing, data: bytes) -> tuple[np.ndarray, list[float]]:
    """What Python has the network see of an image file, uint8 [3, crop, crop], and the probability of each class."""
    stored = decode(data, preprocessing.size, preprocessing.fit, preprocessing.interpolation)
    with torch.inference_mode():
        answer = network.probabilities(network(network.see(torch.from_numpy(stored.copy())[None])))[0]
    return preprocessing.centre(stored), answer.tolist()


def read(answer) -> dict[str, float]:
    """The probabilities that an answer lists, the highest first."""
    bars = answer.locator(".bars li").evaluate_all("all => all.map((bar) => [bar.dataset.name, bar.dataset.share])")
    assert bars, answer.text_content()
    return {name: float(share) for name, share in bars}


def assert_same(told: dict[str, float], expected: dict[str, float], tolerance: float = TOLERANCE) -> None:
    assert max(expected, key=expected.get) == next(iter(told))
    assert told == pytest.approx({name: expected[name] for name in told}, abs=tolerance)
