"""scripts/recommend.py and classifier/training/advice.py: a recipe, and values with their reasons."""

import shutil
import sys
from pathlib import Path

from classifier.config import load_params
from classifier.data.splits import SPLITS
from classifier.data.survey import Survey
from classifier.errors import InputError
from classifier.reproducibility import select_device
from classifier.training import advice as advice_module
from classifier.training.advice import Advice, Machine, advise, choose_epochs
from tests.conftest import ROOT

import numpy as np
import pytest
import recommend
import torch
from ruamel.yaml import YAML

LAPTOP, SERVER, GPU = Machine("cpu", "AVX2", 2), Machine("cpu", "AVX512", 64), Machine("cuda", "a GPU", 16)

# What the tests below count with, whatever the recipes have.
SPLIT = {"prepare.fit": "crop", "prepare.val_fraction": 0.1, "prepare.test_fraction": 0.2, "train.class_weights": {}}
PHOTOS = SPLIT | {"prepare.image_size": 288, "train.image_size": 256, "train.flip": "alternating"}
FIGURES = {
    "photos": PHOTOS
    | {"train.epochs": 8, "train.batch_size": 64, "train.low_res_share": 0.7, "train.low_res_scale": 0.625}
    | {"train.augment": {"RandomResizedCrop": {"size": 256, "scale": [0.35, 1.0]}}},
    "photos-frozen": PHOTOS | {"train.epochs": 30, "train.batch_size": 128},
    "cifar10": SPLIT
    | {"prepare.val_fraction": 0.05, "prepare.image_size": 32, "train.image_size": 32}
    | {"train.epochs": 10, "train.batch_size": 500, "train.low_res_share": 0.4, "train.low_res_scale": 0.75}
    | {"train.augment": {"RandomCrop": {"size": 32, "padding": 2, "padding_mode": "reflect"}}},
    "digits": SPLIT | {"train.image_size": 16, "train.low_res_share": 0.0, "train.flip": "none"},
}


@pytest.fixture(autouse=True)
def recipes(workspace):
    shutil.copytree(ROOT / "recipes", "recipes")
    for name, figures in FIGURES.items():
        edit(name, figures)


def edit(name: str, figures: dict) -> None:
    """Change values of the copied recipe `name`."""
    yaml, path = recommend.round_trip(), Path(f"recipes/{name}.yaml")
    document = yaml.load(path.read_text())
    for key, value in figures.items():
        section, key = key.split(".")
        document[section][key] = recommend.flow(value)
    with path.open("w") as file:
        yaml.dump(document, file)


def described(train, val=None, test=None, sides=(240, 320), grey=0.0) -> Survey:
    """The survey of a dataset with so many images of each class in each split, all of one size."""
    counts = {split: n for split, n in zip(SPLITS, (train, val, test), strict=True) if n}
    labels = np.concatenate([np.repeat(np.arange(len(train)), n) for n in counts.values()])
    splits = np.concatenate([np.full(sum(n), SPLITS.index(split)) for split, n in counts.items()])
    number = np.arange(len(labels))
    names = [f"class{i}" for i in range(len(train))]
    paths = [f"{i}.jpg" for i in number]
    all_sides = np.tile(sides, (len(labels), 1))
    return Survey(
        "image folders", names, tuple(counts), paths, splits, labels, number, all_sides, number, 1, 1, grey, []
    )


def values(survey: Survey, machine: Machine = LAPTOP) -> dict:
    return {choice.key: choice.value for choice in advise(survey, machine).choices}


@pytest.mark.parametrize(
    "survey, machine, recipe",
    [
        (described([300] * 10), LAPTOP, "photos-frozen"),
        (described([300] * 10), GPU, "photos"),
        (described([50, 50]), SERVER, "photos"),
        (described([5000] * 10), SERVER, "photos"),
        (described([9000] * 20), SERVER, "photos-frozen"),
        (described([5000] * 10, sides=(32, 32)), LAPTOP, "cifar10"),
        (described([5000] * 10, sides=(32, 32)), GPU, "cifar10"),
        (described([100] * 10, sides=(8, 8), grey=1.0), LAPTOP, "digits"),
        (described([6000] * 10, sides=(28, 28), grey=1.0), LAPTOP, "digits"),
        (described([100] * 10, sides=(48, 64)), LAPTOP, "photos"),  # of 128 pixels: five minutes
        (described([100] * 10, sides=(240, 320)), LAPTOP, "photos-frozen"),
    ],
)
def test_the_recipe_follows_from_the_images_and_the_machine(survey, machine, recipe):
    assert advise(survey, machine).recipe == Path(f"recipes/{recipe}.yaml")


@pytest.mark.parametrize(
    "survey, changes, recipe, time",
    [
        # Of 10,000 images 9,025 are left, 8 times: 72,200 of 256 × 256 pixels, of which low resolution leaves 57 %.
        (described([1000] * 10), {}, "photos", "10 minutes"),
        (described([1000] * 10), {"train.low_res_share": 0.0}, "photos-frozen", "18 minutes"),
        (described([1000] * 10, [90] * 10, [90] * 10), {}, "photos", "11 minutes"),  # all 10,000 learn
        (described([1000] * 10, sides=(80, 90)), {}, "photos", "3 minutes"),  # of 128 pixels
    ],
)
def test_the_time_without_a_gpu_follows_from_the_pixels_to_learn_from(survey, changes, recipe, time):
    edit("photos", changes)
    advice = advise(survey, Machine("cpu", "AVX512", 8))
    assert advice.recipe == Path(f"recipes/{recipe}.yaml")
    assert any(f" {time}" in line for line in [advice.reason, *advice.to_check])


def test_who_gets_a_frozen_network_for_want_of_a_gpu_is_told_of_the_other_recipe():
    (line,) = (line for line in advise(described([300] * 10), LAPTOP).to_check if "photos.yaml" in line)
    assert "With patience or a GPU" in line
    assert not any("photos.yaml" in line for line in advise(described([300] * 10), GPU).to_check)


def test_who_trains_all_layers_is_told_of_the_quicker_recipe():
    for machine in (GPU, SERVER):
        assert any("recipes/photos-frozen.yaml" in line for line in advise(described([50, 50]), machine).to_check)


def test_who_has_many_tiny_images_and_no_gpu_is_told_of_the_smaller_network():
    survey = described([5000] * 10, sides=(32, 32))
    told = [any("recipes/cifar10-quick.yaml" in line for line in advise(survey, m).to_check) for m in (LAPTOP, GPU)]
    assert told == [True, False]


@pytest.mark.parametrize(
    "number, epochs",
    [
        (100, 500),  # 500 steps, of one batch an epoch
        (1_280, 50),  # 10 an epoch
        (2_560, 30),  # 20 an epoch: the recipe's 30 make 600
        (15_000, 30),
        (19_968, 30),  # 156 an epoch: 4,680
        (20_480, 63),  # 160 an epoch, of which BiT's rule has 10,000 from here on
        (128_000, 30),
        (640_000, 30),  # 5,000 an epoch: 150,000, fewer than ten times 20,000
        (1_280_000, 20),
    ],
)
def test_epochs_make_as_many_steps_as_bits_rule_has_up_to_ten_times(number, epochs):
    train = load_params("train", "recipes/photos-frozen.yaml")
    assert choose_epochs(number, train).value == epochs


@pytest.mark.parametrize(("sides", "enlarged"), [((240, 320), True), ((600, 800), False)])
def test_who_gets_images_larger_than_the_own_ones_is_told_so(sides, enlarged):
    choices = advise(described([300] * 10, sides=sides), LAPTOP).choices
    (reason,) = (choice.reason for choice in choices if choice.key == "prepare.image_size")
    assert ("enlarged where that is more" in reason) == enlarged


def test_images_held_out_do_not_count_for_the_number_of_steps():
    assert values(described([10_500] * 2))["train.epochs"] == 30  # of 21,000, 18,952 are left
    # Of 22,200, test takes a twentieth, and val one of what is left then: 20,036 are left, for which 10,000 steps do.
    assert values(described([11_100] * 2))["train.epochs"] == 64


def test_epochs_from_scratch_make_some_hundred_steps_at_least():
    train = load_params("train", "recipes/cifar10.yaml")
    assert [choose_epochs(n, train).value for n in (10_000, 47_500, 1_000_000)] == [25, 10, 10]


@pytest.mark.parametrize(
    "survey, expected",
    [
        (described([50, 400], [20, 20], [20, 20]), {}),
        (described([5000, 5000], None, [20, 20]), {"prepare.val_fraction": 0.05}),
        (described([300, 5000], None, [20, 20]), {"prepare.val_fraction": 0.1}),
        (described([200, 200], [20, 20]), {"prepare.test_fraction": 0.15}),
        (described([49, 200], [20, 20]), {"prepare.test_fraction": 0}),
        (described([49, 200]), {"prepare.test_fraction": 0.2, "prepare.val_fraction": 0.2}),
        (described([200, 900]), {"prepare.test_fraction": 0.15, "prepare.val_fraction": 0.2}),
        (described([0, 5000]), {"prepare.test_fraction": 0.05, "prepare.val_fraction": 0.05}),  # oddities names class0
    ],
)
def test_fractions_hold_out_enough_of_the_rarest_class_where_the_dataset_has_no_split(survey, expected):
    assert {key: value for key, value in values(survey).items() if key.endswith("fraction")} == expected


@pytest.mark.parametrize(
    "counts, weights, told", [([100, 150], {}, 0), ([100, 900], {}, 1), ([10, 100], "balanced", 1)]
)
def test_class_weights_come_with_their_trade(counts, weights, told):
    advice = advise(described(counts), LAPTOP)
    assert values(described(counts))["train.class_weights"] == weights
    assert len([line for line in advice.to_check if line.startswith("train.class_weights")]) == told


@pytest.mark.parametrize(
    "survey, expected",
    [
        (described([30, 30]), {"prepare.image_size": 288, "train.image_size": 256, "prepare.fit": "crop"}),
        (described([30, 30], sides=(200, 320)), {"prepare.fit": "pad"}),
        (
            described([30, 30], sides=(80, 90)),
            {"prepare.image_size": 160, "train.image_size": 128, "train.augment.RandomResizedCrop.size": 128},
        ),
        (
            described([9000, 9000], sides=(28, 28)),
            {"prepare.image_size": 28, "train.image_size": 28, "train.augment.RandomCrop.size": 28},
        ),
        (described([9000, 9000], sides=(12, 12)), {"prepare.image_size": 24, "train.image_size": 24}),  # 16 in low_res
        (described([90, 90], sides=(8, 8), grey=1.0), {"prepare.image_size": 16, "train.image_size": 16}),
    ],
)
def test_sides_follow_the_images_and_what_the_network_takes(survey, expected):
    assert values(survey, GPU).items() >= expected.items()


def test_a_recipe_that_pads_is_left_to_pad():
    edit("photos", {"prepare.fit": "pad"})
    assert values(described([30, 30]), GPU).get("prepare.fit", "pad") == "pad"


def test_mirroring_is_to_be_checked_where_the_recipe_mirrors():
    def asked(survey):
        return any(line.startswith("train.flip") for line in advise(survey, LAPTOP).to_check)

    assert asked(described([300] * 10))
    assert not asked(described([100] * 10, sides=(8, 8), grey=1.0))  # the recipe for digits does not


@pytest.mark.parametrize("machine", [LAPTOP, GPU], ids=["laptop", "gpu"])
@pytest.mark.parametrize("counts", [[3, 300], [30, 31], [9000, 200_000]])
@pytest.mark.parametrize("sides", [(8, 8), (32, 48), (90, 90), (3000, 4000)])
@pytest.mark.parametrize("grey", [0.0, 1.0])
def test_what_is_recommended_is_valid_and_keeps_the_recipes_comments(machine, counts, sides, grey):
    advice = advise(described(counts, sides=sides, grey=grey), machine)
    text, changed = recommend.fill_in(advice)
    Path("filled.yaml").write_text(text)
    load_params("train", "filled.yaml")
    recipe = advice.recipe.read_text()
    assert [line for line in recipe.splitlines() if line.startswith("#")] == [
        line for line in text.splitlines() if line.startswith("#") and line in recipe
    ]
    assert comments(text) >= comments(recipe)
    filled = dict(recommend.flat(YAML(typ="safe").load(text)))
    assert filled | changed == dict(recommend.flat(YAML(typ="safe").load(recipe)))
    assert all(value != filled[key] for key, value in changed.items())


def comments(text: str) -> set[str]:
    return {line.split("  #")[1] for line in text.splitlines() if "  #" in line}


@pytest.mark.parametrize(
    "survey",
    [
        described([5000] * 10, None, [1000] * 10, sides=(32, 32)),
        described([400, 122, 241] * 4, [30] * 12, [30] * 12),
    ],
)
def test_a_recipe_that_suits_as_it_is_stays_as_it_is_to_the_byte(survey):
    advice = advise(survey, LAPTOP)
    assert recommend.fill_in(advice) == (advice.recipe.read_text(), {})


@pytest.mark.parametrize("recipe", sorted(ROOT.glob("recipes/*.yaml")), ids=lambda path: path.stem)
def test_a_recipe_is_written_as_it_was(recipe):
    assert recommend.fill_in(Advice(recipe, "", [], [])) == (recipe.read_text(), {})


def test_the_machine_is_the_one_that_trains():
    machine = recommend.describe_machine()
    assert (machine.device, machine.cores) == (select_device().type, torch.get_num_threads())
    assert machine.name


@pytest.fixture
def run_recommend(monkeypatch, capsys):
    """A function: run recommend.py with these arguments, as on one slow core; returns what it prints."""
    monkeypatch.setattr(recommend, "describe_machine", lambda: Machine("cpu", "AVX2", 1))
    monkeypatch.setattr(advice_module, "CPU_SECONDS", 1)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["recommend.py", *arguments])
        recommend.main()
        return capsys.readouterr().out

    return run


def tree() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def test_without_write_nothing_changes_and_nothing_is_asked(run_recommend, small_dataset, params):
    small_dataset()
    Path("params.yaml").write_text(params())
    before = tree()
    out = run_recommend()
    assert tree() == before
    assert "Nothing is changed" in out
    assert "I would take recipes/photos-frozen.yaml" in out
    assert "3 classes with less than 20 images in train" in out


def test_write_makes_the_recommendation_params_yaml_and_says_what_that_changes(run_recommend, small_dataset, params):
    small_dataset()
    Path("params.yaml").write_text(params())
    out = run_recommend("--write")
    written = Path("params.yaml").read_text()
    assert written.splitlines()[0].startswith("# By scripts/recommend.py from recipes/photos-frozen.yaml, changed: ")
    train = load_params("train")
    recipe = load_params("train", "recipes/photos-frozen.yaml")
    assert (train.model, train.freeze) == (recipe.model, "backbone")
    assert train.image_size == 128  # of images of 16 pixels
    assert train.epochs == 500  # 19 images, one batch
    assert "train.epochs: 1 → 500" in out
    assert f"train.model: airbench_small → {recipe.model}" in out
    assert "prepare.seed" not in out
    assert "Nothing is changed" not in out
    assert run_recommend("--write").rstrip().endswith("from recipes/photos-frozen.yaml:")  # again: no more to change


def test_no_line_without_a_path_is_wider_than_a_terminal(run_recommend, small_dataset):
    small_dataset(train=30)
    out = run_recommend("--write")
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("damage, message", [("train: [", "params.yaml is not valid YAML"), (None, "data/ not found")])
def test_what_stands_in_the_way_is_said_in_a_sentence(run_recommend, small_dataset, damage, message):
    if damage:
        small_dataset()
        Path("params.yaml").write_text(damage)
    with pytest.raises(InputError, match=message):
        run_recommend("--write")
    assert not damage or Path("params.yaml").read_text() == damage


def test_a_recipe_that_is_missing_or_not_valid_changes_nothing(run_recommend, small_dataset, params):
    small_dataset()
    Path("params.yaml").write_text(params())
    recipe = Path("recipes/photos-frozen.yaml")
    edit("photos-frozen", {"train.lr": -1})
    with pytest.raises(InputError, match=r"recipes/photos-frozen\.yaml has 1 problem"):
        run_recommend("--write")
    recipe.unlink()
    with pytest.raises(InputError, match=r"recipes/photos-frozen\.yaml not found"):
        run_recommend("--write")
    assert Path("params.yaml").read_text() == params()


def test_what_would_not_be_valid_is_not_written(run_recommend, small_dataset, params, monkeypatch):
    small_dataset()
    Path("params.yaml").write_text(params())
    monkeypatch.setattr(recommend, "fill_in", lambda advice: (params({"train.lr": -1}), {}))
    message = r"^recipes/photos-frozen\.yaml with these values has 1 problem\(s\):\n  train\.lr: must be greater than 0"
    with pytest.raises(InputError, match=message):
        run_recommend("--write")
    assert Path("params.yaml").read_text() == params()


def test_data_without_an_image_to_train_on_are_refused(run_recommend, small_dataset):
    small_dataset()
    for path in Path("data/train").glob("*/*"):
        path.unlink()
    with pytest.raises(InputError, match="no images to train on: put some into its train split"):
        run_recommend()


@pytest.mark.parametrize(
    "old, new, lines",
    [
        ({}, {"cat": 2}, ["a.b.cat: (nothing) → 2"]),
        ({"cat": 2}, {}, ["a.b.cat: 2 → (nothing)"]),
        ("balanced", {"cat": 2}, ["a.b: balanced → (nothing)", "a.b.cat: (nothing) → 2"]),
        ({}, "balanced", ["a.b: {} → balanced"]),
        ({}, {}, []),
    ],
)
def test_an_empty_mapping_is_no_difference_where_the_other_has_keys(old, new, lines):
    old, new = (dict(recommend.flat({"a": {"b": value, "bc": 1}})) for value in (old, new))
    assert list(recommend.differences(old, new)) == lines
