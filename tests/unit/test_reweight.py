"""scripts/reweight.py: one weight in params.yaml is raised, and nothing else changes."""

import json
import sys
from pathlib import Path

from classifier.config import load_params
from classifier.errors import InputError

import pytest
import reweight


@pytest.fixture
def run_reweight(workspace, monkeypatch, params):
    """A function: run reweight.py; returns the class weights that then stand in params.yaml."""
    Path("params.yaml").write_text(params())
    recall = {"cat": 0.7, "dog": 0.4, "frog": 0.9}
    test_recall = {"cat": 0.1, "dog": 0.8, "frog": 0.9}
    Path("metrics.json").write_text(json.dumps({"val": {"recall": recall}, "test": {"recall": test_recall}}))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["reweight.py", *arguments])
        reweight.main()
        return load_params("train").class_weights

    return run


def test_the_class_with_the_lowest_recall_on_validation_counts_double(run_reweight, capsys):
    assert run_reweight() == {"dog": 2.0}
    assert "dog 1 → 2 (validation recall 40.0%)" in capsys.readouterr().out


def test_raising_again_multiplies_the_weight(run_reweight):
    run_reweight()
    assert run_reweight() == {"dog": 4.0}


def test_factor_and_class_can_be_chosen(run_reweight):
    assert run_reweight("--factor", "1.5", "--class", "frog") == {"frog": 1.5}


def test_other_weights_stay(run_reweight, params):
    Path("params.yaml").write_text(params({"train.class_weights": {"cat": 0.5, "dog": 3.0}}))
    assert run_reweight() == {"cat": 0.5, "dog": 6.0}


def test_a_class_whose_name_yaml_reads_as_a_number_is_found(run_reweight, params):
    Path("params.yaml").write_text(params({"train.class_weights": {7: 2.0}}))
    Path("metrics.json").write_text(json.dumps({"val": {"recall": {"7": 0.1, "8": 0.9}}}))
    assert run_reweight() == {"7": 4.0}


def test_comments_order_and_quotes_of_params_yaml_stay(run_reweight, params):
    text = "# at the top\n" + params().replace("  lr: 0.1\n", "  lr: 0.10  # tuned by hand\n\n")
    text = text.replace("model: airbench_small", "model: 'airbench_small'")
    Path("params.yaml").write_text(text)
    run_reweight()
    assert Path("params.yaml").read_text() == text.replace("class_weights: {}", "class_weights:\n    dog: 2.0")


def test_an_unknown_class_is_refused_with_the_nearest(run_reweight):
    before = Path("params.yaml").read_text()
    with pytest.raises(InputError, match="no class 'frg', did you mean 'frog'"):
        run_reweight("--class", "frg")
    assert Path("params.yaml").read_text() == before


@pytest.mark.parametrize("factor", ["0", "-2", "nan", "inf"])
def test_a_factor_that_makes_no_weight_is_refused(run_reweight, factor):
    with pytest.raises(InputError, match="--factor must be greater than 0"):
        run_reweight(f"--factor={factor}")


@pytest.mark.parametrize("factor", ["1e-9", "1e300"])
def test_params_yaml_stays_valid_whatever_the_factor(run_reweight, factor):
    for _ in range(2):
        try:
            run_reweight("--factor", factor)
        except InputError as error:
            assert "--factor" in str(error)
    load_params("train")


def test_balanced_weights_are_not_raised(run_reweight, params):
    Path("params.yaml").write_text(params({"train.class_weights": "balanced"}))
    with pytest.raises(InputError, match="`balanced`: replace it"):
        run_reweight()


def test_missing_metrics_say_what_to_run(run_reweight):
    Path("metrics.json").unlink()
    with pytest.raises(InputError, match="run `dvc repro` first"):
        run_reweight()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"val": {}}', '{"val": {"recall": {}}}', '{"val": null}'])
def test_damaged_metrics_are_refused(run_reweight, text):
    Path("metrics.json").write_text(text)
    with pytest.raises(InputError, match=r"metrics\.json"):
        run_reweight()
