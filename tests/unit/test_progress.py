"""What one sees of a training while it runs."""

import train
from classifier.config import load_params
from classifier.training import progress
from classifier.training.progress import Progress, duration, pace, watch

import pytest


@pytest.fixture
def clock(monkeypatch):
    """The time that the progress sees, in seconds: a list of one."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def run(shown: Progress, clock: list[float], steps: int, seconds: float) -> None:
    for _ in range(steps):
        clock[0] += seconds
        shown.update(10)


def test_after_some_steps_the_whole_duration_is_expected_from_their_speed(clock, capsys):
    with Progress(epochs=4, steps=100, images=1000, done=0, work=450.0) as shown:
        run(shown, clock, 1, seconds=60.0)  # the first step is slow
        run(shown, clock, 1, seconds=2.0)
        assert "about" not in capsys.readouterr().out
        run(shown, clock, 20, seconds=2.0)
    assert capsys.readouterr().out.count("4 epochs of 100 steps: about 15 minutes") == 1


def test_after_a_crash_the_rest_is_expected(clock, capsys):
    with Progress(epochs=4, steps=100, images=1000, done=3, work=100.0) as shown:
        run(shown, clock, 10, seconds=1.0)
    assert "1 more epoch of 100 steps: about 100 seconds" in capsys.readouterr().out


def test_without_a_terminal_a_line_every_half_minute_says_how_far_it_is(clock, capsys):
    with Progress(epochs=2, steps=100, images=1000, done=0, work=0.0) as shown:
        run(shown, clock, 100, seconds=1.0)
        clock[0] += 100.0  # validation
        shown.begin_epoch(1)
        run(shown, clock, 31, seconds=1.0)
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1/2: 30% of its images",
        "epoch 1/2: 60% of its images",
        "epoch 1/2: 90% of its images",
        "epoch 2/2: 30% of its images",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 second"), (100, "100 seconds"), (130, "2 minutes"), (9000, "2 hours")]
)
def test_durations_are_said_in_a_fitting_unit(seconds, said):
    assert duration(seconds) == said


def test_shrunk_images_and_frozen_layers_count_for_less(workspace, params):
    (workspace / "params.yaml").write_text(params({"train.epochs": 4, "train.low_res_share": 0.5}))
    shape = load_params("train").low_res_scale ** 2

    class Data:
        labels = range(80)

    trainer = train.Trainer.__new__(train.Trainer)
    trainer.params = load_params("train")
    steps = 10
    validation = 4 * 20 / 80 * steps / 3
    assert trainer.steps(Data) == steps
    assert trainer.work(Data, 20, done=0) == pytest.approx((20 * shape + 20 + validation) / shape)
    assert trainer.work(Data, 20, done=2) == pytest.approx(20 + validation / 2)
    assert trainer.work(Data, 20, done=4) == 0


@pytest.mark.parametrize(
    ("keep", "said"),
    [("best", "epoch 3 of 4, which has the best validation accuracy, 80.0%"), ("last", "the last epoch, 4, as")],
)
def test_it_is_said_which_epoch_was_kept_and_why(keep, said):
    accuracies = [0.7, 0.8, 0.8, 0.75]
    history = [train.Epoch(i + 1, 0.1, 1.0, 0.5, 1.0, accuracy) for i, accuracy in enumerate(accuracies)]
    assert train.which_epoch(history, keep).startswith(said)


def test_what_lies_between_epochs_is_no_part_of_a_steps_time(clock, capsys):
    with Progress(epochs=100, steps=3, images=30, done=0, work=60.0) as shown:
        for epoch in range(3):
            shown.begin_epoch(epoch)
            run(shown, clock, 3, seconds=1.0)
            clock[0] += 500.0  # validation
    assert "100 epochs of 3 steps: about 60 seconds" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("speed", "said"), [(12345.6, "12,346"), (10.4, "10"), (2.54, "2.5"), (0.37, "0.37"), (0.0042, "0.0042")]
)
def test_images_a_second_are_never_said_to_be_none(speed, said):
    assert pace(speed) == said


def test_what_frozen_layers_make_of_the_images_is_told_every_half_minute_with_what_is_left(clock, capsys):
    def slow(batches: int):
        for _ in range(batches):
            clock[0] += 20.0
            yield range(10)

    assert len(list(watch(slow(10), "train", 100))) == 10
    assert capsys.readouterr().out.splitlines() == [
        "train: 20% of 100 images, about 3 minutes more",
        "train: 40% of 100 images, about 2 minutes more",
        "train: 60% of 100 images, about 80 seconds more",
        "train: 80% of 100 images, about 40 seconds more",
    ]
    list(watch(slow(1), "val", 10))
    assert not capsys.readouterr().out, "nobody need hear of what is done"
