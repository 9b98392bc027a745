"""classifier/results/slices.py: slices that fail are named, with their numbers, and others are not."""

from classifier.results.slices import compare_slices, measure

import numpy as np
import pandas as pd
import pytest
from scipy import stats


def answers(wrong: np.ndarray, labels: np.ndarray | None = None, instead: str | np.ndarray = "frog") -> pd.DataFrame:
    """Answers for images of two classes in turn, or of `labels`; the wrong ones say `instead`."""
    labels = np.where(np.arange(len(wrong)) % 2, "cat", "dog") if labels is None else labels
    return pd.DataFrame({"label": labels, "prediction": np.where(wrong, instead, labels)})


def traits(brightness: np.ndarray, **others: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"brightness": brightness, **others})


def test_dark_images_that_fail_are_named_with_their_numbers():
    order = np.random.default_rng(0).permutation(200)
    wrong = (order < 50) & (order % 3 == 0) | (order == 170)
    table, members = compare_slices(answers(wrong), traits(order.astype(float)))
    first = table.iloc[0]
    assert first["slice"] == "the darkest quarter"
    assert (first["images"], first["wrong"]) == (50, 17)
    assert first["share"] == 0.34
    assert (first["low"], first["high"]) == pytest.approx((0.2244, 0.4785), abs=1e-3)  # Wilson's interval
    assert first["rest_share"] == pytest.approx(1 / 150)
    assert first["p"] == pytest.approx(stats.fisher_exact([[17, 33], [1, 149]], "greater").pvalue)
    assert first["fails"]
    assert set(members[0].wrong) == set(np.flatnonzero(wrong & (order < 50)))
    assert not table.set_index("slice").loc["the brightest quarter", "fails"]


def test_of_noise_hardly_anything_is_named():
    rng = np.random.default_rng(0)
    labels, named = np.where(np.arange(300) % 2, "cat", "dog"), 0
    for _ in range(40):
        table, _ = compare_slices(
            answers(rng.random(300) < 0.1, labels, labels[::-1]),
            traits(rng.random(300), side=rng.random(300), sharpness=rng.random(300)),
        )
        assert len(table) > 20
        named += table["fails"].any()
    assert named <= 5


def test_many_slices_make_a_find_less_certain():
    order = np.random.default_rng(0).permutation(200)
    table, _ = compare_slices(answers(order < 6), traits(order.astype(float), side=order % 7.0))
    first = table.iloc[0]
    assert first["adjusted"] > 3 * first["p"]


def test_a_class_and_a_pair_of_classes_that_fail_are_named():
    labels = np.array(["cat", "dog", "frog", "newt"])[np.arange(400) % 4]
    wrong = (labels == "cat") & (np.arange(400) % 3 == 0)
    table, members = compare_slices(answers(wrong, labels, "dog"), traits(np.random.default_rng(0).random(400)))
    failing = table[table["fails"]]["slice"].tolist()
    assert "“cat”" in failing
    assert "“cat” taken for “dog”" in failing
    assert not any("newt" in name for name in failing)
    at = table["slice"].tolist().index("“cat” taken for “dog”")
    assert set(members[at].wrong) == set(np.flatnonzero(wrong))
    assert table.loc[at, "images"] == 100


def test_in_a_class_that_fails_as_a_whole_its_dark_images_do_not_stand_out():
    """A quarter of a class is compared with the class, not with all images."""
    labels = np.where(np.arange(400) % 4 == 0, "cat", "dog")
    rng = np.random.default_rng(0)
    wrong = (labels == "cat") & (rng.random(400) < 0.5)
    table, _ = compare_slices(answers(wrong, labels), traits(rng.random(400)))
    table = table.set_index("slice")
    assert table.loc["“cat”", "fails"]
    assert not table.loc["the darkest quarter of “cat”", "fails"]


def test_a_trait_that_all_images_share_makes_no_slice():
    table, _ = compare_slices(answers(np.arange(100) % 5 == 0), traits(np.full(100, 7.0)))
    assert not table["slice"].str.contains("quarter").any()


def test_too_few_images_make_no_slice():
    table, members = compare_slices(answers(np.arange(8) < 4), traits(np.arange(8.0)))
    assert (len(table), members) == (0, [])


def test_a_quarter_of_too_few_images_makes_no_slice():
    table, _ = compare_slices(answers(np.arange(36) < 9), traits(np.arange(36.0)))
    assert not table["slice"].str.contains("quarter").any()


def test_brightness_and_sharpness_of_images():
    flat = np.full((3, 8, 8), 100, np.uint8)
    board = np.tile(np.indices((8, 8)).sum(0) % 2 * 255, (3, 1, 1)).astype(np.uint8)
    found = measure(np.stack([flat, board]))
    assert found["brightness"].tolist() == [100, 127.5]
    assert found["sharpness"].tolist() == [0, 1020]  # the Laplacian is ±4 × 255
