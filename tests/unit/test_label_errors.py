"""classifier/results/label_errors.py: labels that were made wrong are found, and sound ones are not."""

from classifier.results import label_errors
from classifier.results.label_errors import count_label_errors, judge, rank_labels

import numpy as np
import pytest


def clouds(count: int = 60, classes: int = 3, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Features of `count` images of each class, about points that lie 5 apart."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), count)
    return (5 * np.eye(classes)[labels] + spread * rng.normal(size=(len(labels), classes))).astype(np.float32), labels


def test_the_confident_joint_counts_errors_as_the_paper_does():
    """By hand: images of label 0 get 0.56 on average, those of label 1 get 0.64."""
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.45, 0.55], [0.2, 0.8], [0.25, 0.75], [0.62, 0.38]])
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    # Of label 0, two are confidently 0, one is confidently 1 and one is neither; of label 1, two are 1 and one is 0.
    assert count_label_errors(probabilities, labels) == 2  # a third of 4 and a third of 3
    ranked, likely = rank_labels(probabilities, labels)
    assert ranked.tolist() == [2, 6, 3]
    assert likely == 2


def test_without_an_error_nothing_is_named():
    probabilities, labels = np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 2, 2])
    assert rank_labels(probabilities, labels)[0].tolist() == []
    assert rank_labels(probabilities, labels)[1] == 0


def test_a_class_without_images_is_never_confidently_said():
    assert count_label_errors(np.array([[0.3, 0.1, 0.6], [0.1, 0.6, 0.3]]), np.array([0, 1])) == 0


def test_an_image_of_which_no_class_is_said_with_confidence_is_no_error():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.55, 0.45]])
    assert count_label_errors(probabilities, np.array([0, 0, 1, 1, 1])) == 0


def test_an_image_whose_label_is_the_most_probable_class_is_no_likely_error_whatever_the_estimate():
    probabilities = np.array([[0.5, 0.45, 0.05], [0.9, 0.05, 0.05], [0.3, 0.4, 0.3], [0.3, 0.4, 0.3]])
    labels = np.array([0, 0, 1, 1])
    assert count_label_errors(probabilities, labels) == 1
    ranked, likely = rank_labels(probabilities, labels)
    assert (ranked.tolist(), likely) == ([], 0)


@pytest.mark.parametrize("strengths, best", [((0.1, 1e4), 0.1), ((1e-9, 0.1), 0.1)])
def test_the_regression_follows_the_data_as_far_as_other_images_bear_it_out(strengths, best, monkeypatch):
    features, labels = clouds(20, spread=2)
    features = np.append(features, np.random.default_rng(1).normal(size=(60, 40)), 1)
    judged = {}
    for tried in (strengths, (best,)):
        monkeypatch.setattr(label_errors, "STRENGTHS", tried)
        judged[tried] = judge(features, labels, np.arange(60))
    assert np.array_equal(judged[strengths], judged[best,])


def test_flipped_labels_are_found_with_the_class_that_they_had():
    features, truth = clouds()
    labels = truth.copy()
    flipped = np.array([3, 40, 77, 100, 150, 179])
    labels[flipped] = (labels[flipped] + 1) % 3
    probabilities = judge(features, labels, np.arange(len(labels)))
    ranked, likely = rank_labels(probabilities, labels)
    assert set(ranked[:likely]) == set(flipped)
    assert np.array_equal(probabilities[flipped].argmax(1), truth[flipped])
    assert np.allclose(probabilities.sum(1), 1)


def test_likely_errors_teach_no_more():
    """A quarter of a class is called another: the rest of it is judged nearly as if that were not there."""
    features, truth = clouds()
    labels = truth.copy()
    labels[:15] = 1
    given = judge(features, labels, np.arange(180))[15:60, 0]
    sound = judge(features[15:], labels[15:], np.arange(165))[:45, 0]
    assert given.mean() == pytest.approx(sound.mean(), abs=0.05)


def test_a_copy_with_the_same_wrong_label_does_not_vouch_for_an_image():
    """A picture far from all others is there five times, each time with a wrong label."""
    features, labels = clouds()
    features, labels = np.pad(features, ((0, 5), (0, 1))), np.append(labels, [1] * 5)
    features[180:, :3] = features[:60, :3].mean(0)
    features[180:, 3] = 30
    alone = judge(features, labels, np.arange(185))[180:, 1]
    together = judge(features, labels, np.append(np.arange(180), [180] * 5))[180:, 1]
    assert together.max() < 0.2 < 0.5 < alone.min()


def test_the_only_image_of_a_class_is_not_judged():
    features, labels = clouds(20)
    features, labels = np.append(features, [[9, 9, 9]], 0).astype(np.float32), np.append(labels, 3)
    probabilities = judge(features, labels, np.arange(61))
    assert probabilities[60].tolist() == [0, 0, 0, 1]
    assert 60 not in rank_labels(probabilities, labels)[0]


def test_a_feature_that_never_varies_does_no_harm():
    features, labels = clouds(20)
    probabilities = judge(np.pad(features, ((0, 0), (0, 1))), labels, np.arange(60))
    assert np.isfinite(probabilities).all()
    assert (probabilities.argmax(1) == labels).mean() > 0.95


def test_the_unit_of_a_feature_does_not_matter():
    features, labels = clouds(20)
    assert np.allclose(judge(features * [1e4, 1, 1e-4], labels, np.arange(60)), judge(features, labels, np.arange(60)))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_images_of_each_class_are_judged_in_fewer_parts(count):
    features, labels = clouds(count)
    assert judge(features, labels, np.arange(len(labels))).shape == (3 * count, 3)
