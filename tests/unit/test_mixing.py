"""MixUp and CutMix: what the labels say is what the images show."""

from classifier.data.augment.mixing import cutmix, mixup

import pytest
import torch
from torch import Generator, Tensor

N, SIZE = 64, 16


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


@pytest.fixture
def images() -> Tensor:
    """N images of N channels: each is 1 in a channel of its own, so that a mean over pixels is a label."""
    return torch.eye(N).view(N, N, 1, 1).repeat(1, 1, SIZE, SIZE)


@pytest.fixture
def labels() -> Tensor:
    return torch.eye(N)


def test_a_mixed_image_shows_at_each_pixel_what_its_label_says(images, labels):
    mixed, soft = mixup(images, labels, 0.4, seeded(0))
    assert torch.equal(mixed, soft.view(N, N, 1, 1).expand_as(mixed))
    assert ((soft.diagonal() > 0.01) & (soft.diagonal() < 0.99)).any(), "some are blends"


def test_the_share_of_a_cutmix_label_is_exactly_that_of_the_area(images, labels):
    mixed, soft = cutmix(images, labels, 1.0, seeded(0))
    assert torch.equal(mixed.mean((2, 3)), soft)
    assert soft.diagonal().unique().numel() > N // 4, "there are many sizes"


def test_cutmix_pastes_one_rectangle_where_the_partner_has_it(images, labels):
    coordinates = torch.arange(SIZE * SIZE).view(1, 1, SIZE, SIZE).float()
    mixed, _ = cutmix(torch.cat([images, coordinates.expand(N, 1, SIZE, SIZE)], 1), labels, 1.0, seeded(0))
    assert torch.equal(mixed[:, -1:], coordinates.expand(N, 1, SIZE, SIZE)), "a pixel keeps its place"
    foreign = torch.stack([mixed[i, i] == 0 for i in range(N)])
    assert (foreign.sum((1, 2)) == foreign.any(1).sum(1) * foreign.any(2).sum(1)).all()
    assert foreign.any(0).all(), "every place is reached"


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_soft_labels_add_up_to_one_also_when_mixed_again(mix, images, labels):
    for seed in range(3):
        images, labels = mix(images, labels, 0.7, seeded(seed))
        torch.testing.assert_close(labels.sum(1), torch.ones(N))
        assert labels.min() >= 0


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_the_same_seed_gives_the_same_bits_and_nothing_else_is_touched(mix, images, labels):
    state, before = torch.get_rng_state(), (images.clone(), labels.clone())
    first, again, other = (mix(images, labels, 0.7, seeded(seed)) for seed in (1, 1, 2))
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_have_the_mean_and_the_variance_of_the_beta_distribution(alpha):
    n = 5000
    label = torch.stack([torch.ones(n), torch.zeros(n)], 1)
    label[n // 2 :] = label[n // 2 :].flip(1)
    _, soft = mixup(torch.zeros(n, 1, 1, 1), label, alpha, seeded(0))
    kept = (soft * label).sum(1)
    share = kept[kept < 1]  # of those whose partner has the other label
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


@pytest.mark.parametrize("mix", [mixup, cutmix])
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_an_alpha_that_is_no_positive_number_is_refused(mix, alpha, images, labels):
    with pytest.raises(ValueError, match="alpha must be greater than 0"):
        mix(images, labels, alpha, seeded(0))
