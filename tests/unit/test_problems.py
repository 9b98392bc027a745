"""All that is wrong with params.yaml comes in one report, also what only transforms, networks and classes can tell."""

from pathlib import Path

import prepare
import train
from classifier.errors import InputError

import pytest

WRONG = {
    "train.lr": "fast",
    "train.model": "resnet81",
    "train.augment": {"RandomCrp": {}, "RandomErasing": {"q": 1}, "GaussianBlur": {"kernel_size": 2}},
    "train.class_weights": {"cta": 2.0, "forg": 2.0},
    "evaluate.tta": "mirror",
}


def refused(main) -> list[str]:
    with pytest.raises(InputError) as error:
        main()
    return str(error.value).splitlines()


def test_training_reports_values_transforms_networks_and_classes_together(workspace, small_dataset, params):
    small_dataset()
    Path("params.yaml").write_text(params())
    prepare.main()
    Path("params.yaml").write_text(params(WRONG))
    first, *problems = refused(train.main)
    assert first == "params.yaml has 8 problem(s):"
    assert [line.split(": ")[0].strip() for line in problems] == [
        "evaluate.tta",
        "train.augment.GaussianBlur",
        "train.augment.RandomCrp",
        "train.augment.RandomErasing.q",
        "train.class_weights",
        "train.class_weights",
        "train.lr",
        "train.model",
    ]


def test_without_prepared_images_the_rest_is_reported(workspace, params):
    Path("params.yaml").write_text(params(WRONG))
    assert refused(train.main)[0] == "params.yaml has 6 problem(s):"


def test_values_that_are_out_of_range_are_not_tried_out(workspace, params):
    Path("params.yaml").write_text(params({"prepare.image_size": -1, "train.augment": {"RandomErasing": {}}}))
    assert refused(train.main)[0] == "params.yaml has 2 problem(s):"  # prepare.image_size and train.image_size


def test_prepare_reports_its_augmentation_with_the_rest(workspace, params):
    Path("params.yaml").write_text(params({"prepare.augment": {"RandomCrp": {}}, "train.lr": "fast"}))
    assert [line.split(": ")[0].strip() for line in refused(prepare.main)] == [
        "params.yaml has 2 problem(s):",
        "prepare.augment.RandomCrp",
        "train.lr",
    ]
