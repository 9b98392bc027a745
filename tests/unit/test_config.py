"""params.yaml: what is refused, and what the message says."""

from dataclasses import dataclass

from classifier.config import PACKAGED, STAGES, load_params
from classifier.errors import InputError
from classifier.schema import validate
from classifier.training.checks import training_problems
from tests.conftest import ROOT

import pytest
import yaml


def problems(text: str) -> str:
    """The message with which `text` is refused as params.yaml of the current folder."""
    with open("params.yaml", "w", encoding="utf-8") as file:
        file.write(text)
    with pytest.raises(InputError) as error:
        load_params("train")
    return str(error.value)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(workspace):
    pass


def test_each_stage_gets_its_own_section_with_numbers_as_floats(workspace, params):
    (workspace / "params.yaml").write_text(params({"train.lr": 1, "prepare.image_size": 24}))
    lr = load_params("train").lr
    assert (lr, type(lr)) == (1.0, float)
    assert load_params("prepare").image_size == 24
    assert load_params("evaluate").tta == "none"


def test_all_problems_are_listed_at_once(params):
    message = problems(params({"prepare.seed": -1, "train.lr": "fast", "train.epochs": 0, "evaluate.tta": "mirror"}))
    assert "4 problem(s)" in message
    for key in ("prepare.seed", "train.lr", "train.epochs", "evaluate.tta"):
        assert key in message


def test_an_unknown_key_is_refused_with_the_nearest_known_one(params):
    message = problems(params({"train.momentun": 0.5}))
    assert "train.momentun: unknown key, did you mean 'momentum'?" in message


def test_an_unknown_section_is_refused_with_the_nearest_known_one(params):
    assert "trian: unknown section, did you mean 'train'?" in problems(params() + "trian: {}\n")


def test_a_missing_key_is_named(params):
    assert "train.epochs: this key is missing" in problems(params().replace("  epochs: 1\n", ""))


def test_a_missing_section_is_named(params):
    assert "evaluate: this section is missing" in problems(params().split("evaluate:")[0])


def test_an_empty_file_is_refused_with_the_sections_it_must_hold():
    assert "prepare, train, evaluate" in problems("")


def test_a_missing_file_says_where_to_run():
    with pytest.raises(InputError, match="run from the repository root"):
        load_params("train")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("train.epochs", 1.5, "whole number, not 1.5"),
        ("train.epochs", "3", "whole number, not '3'"),
        ("train.epochs", True, "whole number, not True"),
        ("train.epochs", None, "whole number, not None"),
        ("train.lr", True, "number, not True"),
        ("train.lr", [0.1], r"number, not \[0.1\]"),
        ("train.model", 18, "text, not 18"),
        ("train.optimizer", "adam", "one of sgd, adamw, muon, not 'adam'"),
        ("train.optimizer", ["sgd"], r"one of sgd, adamw, muon, not \['sgd'\]"),
        ("train.augment", ["RandomHorizontalFlip"], "must be a mapping"),
        ("train.augment", {"RandomHorizontalFlip": 0.5}, "arguments of RandomHorizontalFlip must be a mapping"),
        ("prepare.augment", "none", "must be a mapping"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(params, key, value, reason):
    message = problems(params({key: value}))
    assert f"{key}: " in message
    with pytest.raises(InputError, match=reason):
        load_params("train")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("train.lr", 0, "greater than 0"),
        ("train.lr", -0.1, "greater than 0"),
        ("train.weight_decay", -1e-9, "at least 0"),
        ("train.momentum", 1.0, "at least 0 and less than 1"),
        ("train.batch_size", 1, "at least 2"),
        ("prepare.val_fraction", 0, "between 0 and 1, both excluded (the best epoch is chosen by these images)"),
        ("prepare.test_fraction", 1, "at least 0 and less than 1"),
        ("prepare.test_fraction", -0.1, "at least 0 and less than 1"),
        ("prepare.image_size", 2, "between 4 and 1024"),
        ("prepare.seed", -1, "between 0 and 4294967295"),
        ("train.pretrained", "weights.pth", "none, package, the name of weights, or PATH@sha256"),
        ("train.pretrained", "weights.pth@sha256:12ab", "none, package, the name of weights, or PATH@sha256"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(params, key, value, reason):
    message = problems(params({key: value}))
    assert f"{key}: must be {reason}" in message
    assert repr(value) in message


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
def test_nan_and_infinity_are_refused(params, value):
    assert "train.lr: must be finite" in problems(params().replace("lr: 0.1\n", f"lr: {value}\n", 1))


@pytest.mark.parametrize(("written", "instead"), [("1e-3", "0.001"), ("5e-6", "5.0e-06"), ("1e20", "1.0e+20")])
def test_a_number_that_yaml_reads_as_text_is_refused_with_what_to_write(params, written, instead):
    message = problems(params().replace("  lr: 0.1\n", f"  lr: {written}\n"))
    assert f"train.lr: is the text '{written}' to YAML, not a number: write {instead}" in message


@pytest.mark.parametrize("number", ["5.0e-06", "1.0e+20", "5e-06", "1e+20"])
def test_what_the_message_says_to_write_and_what_dvc_writes_is_accepted(workspace, params, number):
    (workspace / "params.yaml").write_text(params().replace("  lr: 0.1\n", f"  lr: {number}\n"))
    assert load_params("train").lr == float(number)


@pytest.mark.parametrize("line", ["  epochs: 1\n", "  augment: {}\n"])
def test_a_key_written_twice_is_refused(params, line):
    key = line.split(":")[0].strip()
    assert f"the key '{key}' stands twice" in problems(params().replace(line, line * 2))


def test_a_section_written_twice_is_refused(params):
    assert "the key 'evaluate' stands twice" in problems(params() + "evaluate:\n  tta: flip\n")


def test_a_file_that_is_not_yaml_is_refused():
    assert "not valid YAML" in problems("train: [1, 2")


def test_a_yaml_tag_that_would_run_code_is_refused(workspace):
    assert "not valid YAML" in problems('train: !!python/object/apply:os.system ["touch canary"]')
    assert not (workspace / "canary").exists()


def test_a_key_that_is_a_list_is_refused(params):
    assert "params.yaml" in problems(params() + "? [train, evaluate]\n: {}\n")


@pytest.mark.parametrize("weights", [{}, {"cat": 2.0, "dog": 3}, "balanced"])
def test_class_weights_may_be_a_mapping_or_balanced(workspace, params, weights):
    (workspace / "params.yaml").write_text(params({"train.class_weights": weights}))
    assert load_params("train").class_weights == weights


def test_class_names_that_yaml_reads_as_numbers_are_text(workspace, params):
    (workspace / "params.yaml").write_text(params({"train.class_weights": {7: 2}}))
    assert load_params("train").class_weights == {"7": 2.0}


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"cat": 0}, "class 'cat' must be greater than 0"),
        ({"cat": -2.0}, "class 'cat' must be greater than 0"),
        ({"cat": float("nan")}, "class 'cat' must be finite"),
        ({"cat": float("inf")}, "class 'cat' must be finite"),
        ({"cat": "two"}, "class 'cat' must be a number"),
        ({"cat": True}, "class 'cat' must be a number"),
        ("uniform", "balanced"),
        ([2.0, 1.0], "mapping"),
        (None, "mapping"),
    ],
)
def test_other_class_weights_are_refused(params, weights, reason):
    message = problems(params({"train.class_weights": weights}))
    assert "train.class_weights: " in message
    assert reason in message


@pytest.mark.parametrize("name", ["no", "off", "Yes"])
def test_a_class_may_have_a_name_that_old_yaml_reads_as_a_boolean(workspace, params, name):
    (workspace / "params.yaml").write_text(params().replace("class_weights: {}", f"class_weights: {{{name}: 2.0}}"))
    assert load_params("train").class_weights == {name: 2.0}


@pytest.mark.parametrize("weights", ["none", "a1_in1k", "package"])
def test_a_network_of_timms_with_a_tag_is_refused_with_the_place_for_the_tag(params, weights):
    changes = {"train.model": "timm/resnet18.a1_in1k", "train.pretrained": weights, "train.optimizer": "sgd"}
    message = problems(params(changes))
    assert message.count("train.") == 2
    assert "train.model: must be timm/resnet18, not timm/resnet18.a1_in1k" in message
    assert "belongs into train.pretrained: a1_in1k" in message


@pytest.mark.parametrize("model", ["airbench", "resnet18", "timm/resnet18", "tf_efficientnet_lite0"])
def test_weights_of_a_package_are_refused_for_a_network_that_has_none_before_any_work(params, model):
    message = problems(params({"train.model": model, "train.pretrained": "package", "train.optimizer": "sgd"}))
    assert f"train.pretrained: no package ships weights for {model}: package is for timm/tf_eff" in message


@pytest.mark.parametrize("model", PACKAGED)
def test_weights_of_a_package_are_accepted_for_the_networks_that_have_some(workspace, params, model):
    changes = {"train.model": model, "train.pretrained": "package", "train.optimizer": "sgd"}
    (workspace / "params.yaml").write_text(params(changes))
    assert load_params("prepare")


def test_augment_arguments_may_be_left_out(workspace, params):
    (workspace / "params.yaml").write_text(params({"train.augment": {"RandomHorizontalFlip": None}}))
    assert load_params("train").augment == {"RandomHorizontalFlip": {}}


def test_a_truth_value_is_true_or_false_and_nothing_else():
    @dataclass
    class Switches:
        compile: bool

    found = []
    assert [validate({"compile": value}, Switches, "train", found) for value in (True, False)] == [
        {"compile": True},
        {"compile": False},
    ]
    assert found == []
    for value in (1, "true", None, {}):
        validate({"compile": value}, Switches, "train", found)
    assert found == [f"train.compile: must be true or false, not {value!r}" for value in (1, "true", None, {})]


def test_a_type_that_the_schema_does_not_know_is_an_error_of_the_program():
    @dataclass
    class Odd:
        sizes: tuple[int, int]

    with pytest.raises(TypeError, match=r"Odd\.sizes.*tuple\[int, int\]"):
        validate({"sizes": [1, 2]}, Odd, "train", [])


# recipes/


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_recipe_is_a_complete_and_valid_params_yaml_that_says_how_to_run_it(recipe):
    for stage in STAGES:
        load_params(stage, str(recipe), further=training_problems)
    comment = recipe.read_text().split("prepare:")[0]
    assert all(line.startswith("#") for line in comment.splitlines())
    assert "dvc repro" in comment


def test_the_recipe_for_cifar10_is_the_committed_params_yaml():
    texts = [(ROOT / name).read_text() for name in ("params.yaml", "recipes/cifar10.yaml")]
    if "airbench_medium" not in texts[0]:
        pytest.skip("params.yaml is that of another dataset: it is the repository's own no more")
    committed, recipe = map(yaml.safe_load, texts)
    assert committed == recipe
