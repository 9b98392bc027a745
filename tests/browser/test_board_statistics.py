"""What board.html computes in the browser is what compare.py computes in Python."""

from classifier.results.intervals import wilson
from classifier.results.significance import difference, mcnemar, verdicts

import board
import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow


def test_groups_of_seeds_are_compared_as_compare_does(page):
    rng = np.random.default_rng(0)
    metrics = ["val.accuracy", "val.loss", "test.accuracy"]
    samples = [pd.DataFrame(rng.normal(0.8, 0.02, (n, 3)), [f"s {s}" for s in seeds], metrics) for n, seeds in
               ((4, range(4)), (4, range(4)), (3, range(5, 8)), (1, [0]))]  # fmt: skip
    samples[1] = samples[0] + [0.05, 0, 0] + rng.normal(0, 0.002, (4, 3))
    script = (board.PAGE / "statistics.js").read_text()
    page.evaluate(script + "; Object.assign(window, {chooseMethod, compareMetric, falseDiscovery, mcnemar, wilson})")
    for other in samples[1:]:
        expected = difference(samples[0], other)
        seeds = [list(sample.index) for sample in (samples[0], other)]
        method, shared = page.evaluate("([a, b]) => chooseMethod(a, b)", seeds)
        assert (method, len(shared)) == (expected.method, expected.pairs)
        rows = [
            page.evaluate(
                "([a, b, m, s]) => compareMetric(new Map(a), new Map(b), m, s, 1e-9)",
                [[list(item) for item in sample[metric].items()] for sample in (samples[0], other)] + [method, shared],
            )
            for metric in metrics
        ]
        got = pd.DataFrame(rows, metrics).astype(float)
        for name in ("difference", "low", "high", "p"):
            assert got[name].tolist() == pytest.approx(expected.table[name].tolist(), rel=1e-8, abs=1e-12, nan_ok=True)
        if method == "paired t":
            adjusted = page.evaluate("p => falseDiscovery(p)", got["p"].tolist())
            assert [p <= 0.05 for p in adjusted] == verdicts(expected).isin(["higher", "lower"]).tolist()
    for right, images in ((0, 5), (5, 5), (901, 1000)):
        low, high = map(float, wilson(right, images))
        assert page.evaluate("([s, n]) => wilson(s, n)", [right / images, images]) == pytest.approx([low, high])


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 1), (3, 12), (40, 41), (500, 700), (7, 0)])
def test_mcnemar_and_its_digits_are_those_of_python(page, a, b):
    tables = [pd.DataFrame({"label": "x", "prediction": ["x"] * i + ["y"] * j + ["x"] * k}) for i, j, k in
              ((a, b, 1), (0, a, b + 1))]  # fmt: skip
    expected = mcnemar(*tables)["p"]
    scripts = [(board.PAGE / name).read_text() for name in ("statistics.js", "elements.js")]
    page.evaluate("\n".join(scripts) + "; Object.assign(window, {mcnemar, formatG})")
    assert page.evaluate("([a, b]) => mcnemar(a, b)", [a, b]) == pytest.approx(expected, rel=1e-6)
    for number in (expected, 0.5, 0.049, 0.0996, 1e-4, 9.96e-5, 0.00012):
        assert page.evaluate("p => formatG(p)", number) == f"{number:.2g}"
