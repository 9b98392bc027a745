"""scripts/reweight.py: one weight in params.yaml is raised, and nothing else changes."""

import json
import sys
from pathlib import Path

from classifier.config import load_params
from classifier.data.rows import rows_per_block
from classifier.errors import InputError

import pytest
import reweight


def write_results(recall, images):
    """The recall of each class on the validation split, of so many images each; another class is worst on test."""
    test_recall = {"cat": 0.1, "dog": 0.8, "frog": 0.9}
    Path("metrics.json").write_text(json.dumps({"val": {"recall": recall}, "test": {"recall": test_recall}}))
    count, digest = images * len(recall), "0" * 64
    blocks = [digest] * -(-count // rows_per_block(3 * 32**2))
    split = {"count": count, "per_class": dict.fromkeys(recall, images), "head": digest, "blocks": blocks}
    described = {"classes": list(recall), "image_size": 32, "fit": "crop", "mean": [0.5] * 3, "std": [0.2] * 3}
    Path("prepared").mkdir(exist_ok=True)
    splits = dict.fromkeys(("train", "val", "test"), split)
    Path("prepared/dataset.json").write_text(json.dumps(described | {"splits": splits}))


@pytest.fixture
def run_reweight(workspace, monkeypatch, params):
    """A function: run reweight.py; returns the class weights that then stand in params.yaml."""
    Path("params.yaml").write_text(params())
    write_results({"cat": 0.7, "dog": 0.4, "frog": 0.9}, images=50)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["reweight.py", *arguments])
        reweight.main()
        return load_params("train").class_weights

    return run


def test_the_class_with_the_lowest_recall_on_validation_counts_double(run_reweight, capsys):
    assert run_reweight() == {"dog": 2.0}
    said = capsys.readouterr().out
    assert "dog 1 → 2" in said
    assert "20 of 50 validation images are recognised (40.0%)" in said
    assert "a trade, not a gain" in said


def test_where_chance_may_have_chosen_the_class_the_step_is_small(run_reweight, capsys):
    write_results({"cat": 0.95, "dog": 0.9, "frog": 1.0}, images=20)
    assert run_reweight() == {"dog": 1.2}
    assert "another seed may find" in capsys.readouterr().out
    assert run_reweight("--factor", "2") == {"dog": 2.4}
    assert run_reweight("--class", "cat") == {"dog": 2.4, "cat": 2.0}


@pytest.mark.parametrize("recall", [1.0, 0.5])
def test_where_all_classes_are_equal_nothing_changes(run_reweight, capsys, recall):
    write_results(dict.fromkeys(("cat", "dog", "frog"), recall), images=20)
    before = Path("params.yaml").read_bytes()
    assert run_reweight() == {}
    assert "nothing to reweight" in capsys.readouterr().out
    assert Path("params.yaml").read_bytes() == before
    assert run_reweight("--class", "dog") == {"dog": 2.0}


def test_results_of_other_classes_than_the_prepared_ones_are_refused(run_reweight):
    metrics = Path("metrics.json").read_text()
    write_results({"cat": 0.5, "cow": 0.9}, images=20)
    Path("metrics.json").write_text(metrics)
    with pytest.raises(InputError, match="about other classes: run `dvc repro`"):
        run_reweight()


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
    write_results({"7": 0.1, "8": 0.9}, images=50)
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
