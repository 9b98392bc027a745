"""What `dvc repro` runs after a change, restores from its cache or leaves alone."""

import json
import re

import pytest

pytestmark = pytest.mark.slow


def test_a_missing_parameter_stops_the_first_stage_that_would_run(pipeline):
    lock = (pipeline.path / "dvc.lock").read_bytes()
    pipeline.edit("params.yaml", "  epochs: 2\n", "")
    output = pipeline.run("dvc", "repro", check=False)
    assert "train.epochs: this key is missing" in output
    assert "failed to reproduce 'train'" in output
    assert re.findall("Running stage '(.+)'", output) == ["train"]
    assert (pipeline.path / "dvc.lock").read_bytes() == lock


def test_new_prepared_images_rerun_everything_after_them(pipeline):
    pipeline.edit("params.yaml", "  augment: {}", "  augment: {RandomGrayscale: {p: 0.5}, RandomErasing: {}}")
    assert pipeline.repro() == ["prepare", "train", "evaluate"]


def test_a_stage_that_writes_the_same_bytes_reruns_nothing_after_it(pipeline):
    pipeline.edit("prepare.py", "def main()", "# A comment.\ndef main()")
    assert pipeline.repro() == ["prepare"]


def test_a_second_repro_runs_nothing(pipeline):
    output = pipeline.run("dvc", "repro")
    assert "Data and pipelines are up to date." in output


def test_going_back_restores_results_without_running(pipeline):
    before = (pipeline.path / "metrics.json").read_bytes()
    pipeline.edit("params.yaml", "tta: none", "tta: flip")
    pipeline.run("dvc", "repro")
    pipeline.edit("params.yaml", "tta: flip", "tta: none")
    output = pipeline.run("dvc", "repro")
    assert "is cached - skipping run" in output
    assert (pipeline.path / "metrics.json").read_bytes() == before


def test_a_deleted_output_comes_back_without_running(pipeline):
    model = pipeline.path / "models" / "classifier.safetensors"
    before = model.read_bytes()
    model.unlink()
    assert pipeline.repro() == []
    assert model.read_bytes() == before


def test_an_experiment_can_weigh_a_class_from_the_command_line(own):
    output = own.run("dvc", "exp", "run", "--set-param", "+train.class_weights.nine=2.0")
    assert "Stage 'prepare' didn't change, skipping" in output
    assert "Running stage 'train'" in output
    assert "Running stage 'evaluate'" in output


def test_metrics_diff_between_tags_lists_every_class(pipeline):
    pipeline.edit("params.yaml", "tta: none", "tta: flip")
    pipeline.run("dvc", "repro")
    pipeline.commit("flip")
    difference = json.loads(pipeline.run("dvc", "metrics", "diff", "baseline", "HEAD", "--json", "--all"))
    assert {"val.accuracy", "test.recall.nine"} <= set(difference["metrics.json"])


def test_plots_are_drawn_without_a_network(own):
    page = own.path.parent / "plots.html"
    own.run("python", "scripts/offline_plots.py", str(page))
    own.run("dvc", "plots", "show", "--out", "drawn")
    html = (own.path / "drawn" / "index.html").read_text()
    assert "<script src=" not in html
    for title in ("Loss per epoch", "Accuracy per epoch", "recall", "what each class is taken for", "confident?"):
        assert title in html
    assert len(list((own.path / "drawn" / "static").glob("*.png"))) == 2
