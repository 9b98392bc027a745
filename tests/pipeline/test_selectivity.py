"""Which stages a change makes DVC run again, and which not."""

import json

import pytest

pytestmark = pytest.mark.slow

# What is changed, and the first stage that must then run; the stages after it read what it writes.
CHANGES = {
    "class weights": ("params.yaml", "class_weights: {}", "class_weights: {nine: 2.0}", ["train"]),
    "training augmentation": ("params.yaml", "degrees: 10", "degrees: 15", ["train"]),
    "prepared augmentation": ("params.yaml", "  augment: {}", "  augment: {RandomGrayscale: {p: 0.5}}", ["prepare"]),
    "image size": ("params.yaml", "image_size: 16", "image_size: 20", ["prepare"]),
    "test-time augmentation": ("params.yaml", "tta: none", "tta: flip", ["evaluate"]),
    "a comment in params.yaml": ("params.yaml", "prepare:", "# a comment\nprepare:", []),
    "a number written otherwise": ("params.yaml", "lr: 0.24", "lr: 0.240", []),
    "the README": ("README.md", "\n", "\n\n", []),
    "the code of training": ("train.py", "wrote", "Wrote", ["train"]),
    "the code of evaluation": ("evaluate.py", "GRID = 32", "GRID = 24", ["evaluate"]),
    "a script beside the pipeline": ("scripts/pack.py", "ROWS_AT_ONCE = 256", "ROWS_AT_ONCE = 128", []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reruns_the_stage_it_can_affect_and_none_before_it(pipeline, change):
    file, old, new, expected = CHANGES[change]
    pipeline.edit(file, old, new)
    assert pipeline.repro("--dry") == expected  # a dry run cannot know that the stages after it will change


def test_new_prepared_images_rerun_everything_after_them(pipeline):
    pipeline.edit("params.yaml", "  augment: {}", "  augment: {RandomGrayscale: {p: 0.5}, RandomErasing: {}}")
    assert pipeline.repro() == ["prepare", "train", "evaluate"]


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


def test_a_forced_rerun_gives_every_hash_again(pipeline):
    lock = (pipeline.path / "dvc.lock").read_bytes()
    pipeline.run("dvc", "repro", "--force")
    assert (pipeline.path / "dvc.lock").read_bytes() == lock


def test_an_experiment_can_weigh_a_class_from_the_command_line(pipeline):
    output = pipeline.run("dvc", "exp", "run", "--set-param", "+train.class_weights.nine=2.0")
    assert "Stage 'prepare' didn't change, skipping" in output
    assert "Running stage 'train'" in output
    assert "Running stage 'evaluate'" in output


def test_metrics_diff_between_tags_lists_every_class(pipeline):
    pipeline.edit("params.yaml", "tta: none", "tta: flip")
    pipeline.run("dvc", "repro")
    pipeline.commit("flip")
    difference = json.loads(pipeline.run("dvc", "metrics", "diff", "baseline", "HEAD", "--json", "--all"))
    assert {"val.accuracy", "test.recall.nine"} <= set(difference["metrics.json"])


def test_plots_are_drawn_without_a_network(pipeline):
    page = pipeline.path.parent / "plots.html"
    pipeline.run("python", "scripts/offline_plots.py", str(page))
    pipeline.run("dvc", "plots", "show", "--out", "drawn")
    html = (pipeline.path / "drawn" / "index.html").read_text()
    assert "<script src=" not in html
    for title in ("Loss per epoch", "Accuracy per epoch", "recall", "what each class is taken for", "confident?"):
        assert title in html
    assert len(list((pipeline.path / "drawn" / "static").glob("*.png"))) == 2
