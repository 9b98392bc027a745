"""Class names are text wherever a weight is written: training and DVC mean the same class, or it is refused."""

import io
import sys
from pathlib import Path

from classifier.config import load_params
from classifier.errors import InputError
from classifier.paths import PARAMS
from tests.unit.test_reweight import write_results

import pytest
import reweight
import sweep_trial
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml
from ruamel.yaml import YAML

# Without quotes, at least one of YAML 1.1 and 1.2 takes these for null, a truth, a number or a date.
NOT_TEXT_TO_DVC = [
    *["010", "017", "08", "00", "0x1F", "0o17", "0b11", "1_000", "1_", "+1", "-0", "+0x1", "-017"],
    *[".5", "-.5", "5.", "3.10", "3.1", "1.0", "1e3", "1E3", "12e03", "1.0e+3", "1e400", "._"],
    *["null", "Null", "NULL", "~", "true", "True", "FALSE", ".inf", "-.inf", ".nan", ".NaN"],
    *["2024-01-01", "2024-01-01 10:00:00", "2001-12-14t21:59:43.10-05:00"],
]
TEXT_TO_DVC = [
    *["16:9", "1:30:45", "190:20:30.15", "+12:30", "yes", "no", "on", "off", "y", "n", "=", "0xG", "_1", "1.5.3"],
    *["nan", "inf", "None", "1,5", "1 000", "New York", "St. Bernard", "café", "日本", "a-b", "a/b", "a'b", "7", "0"],
    *["-1", "10", "1990"],
]
# Quotes are needed for these by any reader.
QUOTED = ["", " a", "a ", "a: b", "a #b", "[a]", "{a}", "*a", "&a", "!a", "%a", "@a", "<<", '"a"', "'a'", "- a"]


def write(params, key: str) -> None:
    Path(PARAMS).write_text(params().replace("class_weights: {}", f"class_weights:\n    {key}: 50.0"))


def recorded() -> dict[str, float]:
    """The weights that DVC reads from params.yaml, as it writes their names into dvc.lock."""
    return {str(name): weight for name, weight in load_yaml(str(PARAMS))["train"]["class_weights"].items()}


@pytest.mark.parametrize("name", NOT_TEXT_TO_DVC)
def test_a_name_that_dvc_would_record_as_another_is_refused_with_the_quotes_to_write(workspace, params, name):
    write(params, name)
    with pytest.raises(InputError) as error:
        load_params("train")
    assert f"write '{name}', in quotes" in str(error.value)
    write(params, f"'{name}'")
    assert load_params("train").class_weights == {name: 50.0} == recorded()


@pytest.mark.parametrize("name", TEXT_TO_DVC)
def test_a_name_that_dvc_records_as_it_is_written_means_the_class_of_that_name(workspace, params, name):
    write(params, name)
    assert load_params("train").class_weights == {name: 50.0} == recorded()


@pytest.mark.parametrize("key", ["!!int 010", "!!int '010'", "!!float '7'", "!!binary YQ==", "? [a]\n    "])
def test_a_key_that_is_no_text_by_its_tag_or_form_is_refused(workspace, params, key):
    write(params, key)
    with pytest.raises(InputError, match=r"in quotes|cannot be a key"):
        load_params("train")


@pytest.mark.parametrize("pair", ["7: 1.0, '7': 2.0", "'010': 1.0, \"010\": 2.0", "16:9: 1.0, '16:9': 2.0"])
def test_one_class_written_in_two_ways_stands_twice(workspace, params, pair):
    Path(PARAMS).write_text(params().replace("class_weights: {}", f"class_weights: {{{pair}}}"))
    with pytest.raises(InputError, match="stands twice"):
        load_params("train")


@pytest.mark.parametrize("number", ["010", "0o17", "1:30", "017", "1:30.5"])
@pytest.mark.parametrize("key", ["train.epochs", "train.lr", "train.class_weights"])
def test_a_number_that_dvc_would_record_as_another_is_refused(workspace, params, key, number):
    instead = {"train.epochs": "epochs: 1\n", "train.lr": "lr: 0.1\n", "train.class_weights": "class_weights: {}\n"}
    name = key.split(".")[1]
    value = f"{{cat: {number}}}" if name == "class_weights" else number
    assert instead[key] in params()
    Path(PARAMS).write_text(params().replace(instead[key], f"{name}: {value}\n"))
    with pytest.raises(InputError, match=f"{key}.*number"):
        load_params("train")


@pytest.mark.parametrize("weights", ["{}", "{other: 3.0}", "\n    other: 3.0"], ids=["empty", "flow", "block"])
@pytest.mark.parametrize("name", [*NOT_TEXT_TO_DVC, *TEXT_TO_DVC, *QUOTED])
def test_reweight_writes_every_name_so_that_all_read_it(workspace, params, monkeypatch, name, weights):
    Path(PARAMS).write_text(params().replace("class_weights: {}", f"class_weights: {weights}"))
    write_results({name: 0.1, "other": 0.9}, images=50)
    others = {"other": 3.0} if "other" in weights else {}
    monkeypatch.setattr(sys, "argv", ["reweight.py"])
    for weight in (2.0, 4.0):
        reweight.main()
        assert load_params("train").class_weights == {**others, name: weight} == recorded()
    lock = io.StringIO()
    YAML().dump(load_yaml(str(PARAMS)), lock)  # as DVC writes dvc.lock
    assert YAML(typ="safe").load(lock.getvalue()) == load_yaml(str(PARAMS))
    apply_overrides(str(PARAMS), ["train.lr=0.2"])  # which writes params.yaml anew, without needless quotes
    assert load_params("train").class_weights == {**others, name: weight} == recorded()


@pytest.mark.parametrize("name", ["cat", "null", "true", "yes", "1_000", "7", "0", "10", "nan", "inf", "None", "a-b"])
def test_a_sweep_that_sets_the_weight_of_a_class_means_that_class(workspace, params, name):
    Path(PARAMS).write_text(params())
    *_, override = sweep_trial.experiment([f"--train.class_weights.{name}=2.0"], None)
    apply_overrides(str(PARAMS), [override])
    assert load_params("train").class_weights == {name: 2.0} == recorded()


@pytest.mark.parametrize(
    "name", ["010", "08", "16:9", "~", ".5", "3.10", "+1", "-1", "1e3", "0x1F", "2024-01-01", "a b", "a.b", "é", "a/b"]
)
def test_a_sweep_refuses_a_class_that_dvc_cannot_name(name):
    with pytest.raises(InputError, match=r"write its weight into params\.yaml"):
        sweep_trial.experiment([f"--train.class_weights.{name}=2.0"], None)


@pytest.mark.parametrize("name", ["true", "3.10", ".5", "1e3", "nan", "inf", "16:9", "a:b", "010", "0", "-1", "a b"])
def test_a_mapping_given_to_set_param_means_its_classes_or_is_refused(workspace, params, name):
    Path(PARAMS).write_text(params())
    apply_overrides(str(PARAMS), [f"+train.class_weights={{{name}:2.0}}"])
    try:
        assert load_params("train").class_weights == {name: 2.0} == recorded()
    except InputError as error:
        assert "in quotes" in str(error) or "must be a number" in str(error)
