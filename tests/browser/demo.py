"""How tests use demo.html: files go in, answers are read."""

import pytest

TOLERANCE = 5e-3  # of a probability: a browser may round a pixel to the next of 256 levels
LOCAL = {"file", "blob", "data", "about"}  # addresses that need no network


def ask(page, *files: bytes, name: str = "image") -> list:
    """Upload files; returns an element for each answer."""
    payloads = [{"name": f"{name}-{i}", "mimeType": "", "buffer": data} for i, data in enumerate(files)]
    page.locator("#files").set_input_files(payloads)
    page.locator("#answers > div:first-child .answer").nth(len(files) - 1).wait_for(timeout=120_000)
    return page.locator("#answers > div:first-child .answer").all()


def read(answer) -> dict[str, float]:
    """The probabilities that an answer lists, the highest first."""
    bars = answer.locator(".bars li").evaluate_all("all => all.map((bar) => [bar.dataset.name, bar.dataset.share])")
    assert bars, answer.text_content()
    return {name: float(share) for name, share in bars}


def assert_same(told: dict[str, float], expected: dict[str, float], tolerance: float) -> None:
    assert max(expected, key=expected.get) == next(iter(told))
    assert told == pytest.approx({name: expected[name] for name in told}, abs=tolerance)
