"""The notebooks run as they are committed, and what they compute is right."""

import json
import math
import pickle
import shutil
from pathlib import Path

from classifier.data.layouts.folders import open_folders
from tests.clones import ROOT, Clone, copy_clone, copy_tree, shrink_photos

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")]  # dvc's own

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def execute(clone: Clone, name: str, expressions: dict[str, str], changes: dict[str, str] | None = None):
    """Run a notebook as JupyterLab does, in its own folder.

    Args:
        expressions: what to evaluate in the end; its values come back under the same names.
        changes: texts of the notebook's code to replace.

    Returns:
        the values, and all that was printed.
    """
    folder = clone.path / "notebooks"
    notebook = nbformat.read(folder / f"{name}.ipynb", 4)
    for cell in notebook.cells:
        for old, new in (changes or {}).items():
            cell.source = cell.source.replace(old, new)
    values = ", ".join(f"{key!r}: {expression}" for key, expression in expressions.items())
    notebook.cells.append(nbformat.v4.new_code_cell(f"import json; print(json.dumps({{{values}}}, default=float))"))
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    *printed, last = "".join(output.text for output in outputs if output.get("name") == "stdout").strip().splitlines()
    return json.loads(last), "\n".join(printed)


def write_cifar10(root: Path, images: np.ndarray, labels: list[int]) -> None:
    """Six files as torchvision unpacks them, of images uint8 [N, 3, 32, 32]."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for name, rows in zip(names, np.array_split(np.arange(len(images)), len(names)), strict=True):
        files = [f"{i}.png".encode() for i in rows]
        batch = {b"data": images[rows].reshape(len(rows), -1), b"labels": [labels[i] for i in rows]}
        (folder / name).write_bytes(pickle.dumps(batch | {b"filenames": files}, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [c.encode() for c in CLASSES]}, protocol=2))


def test_explore_looks_at_the_data_and_learns_the_digits(pipeline):
    found, _ = execute(
        pipeline,
        "explore",
        {
            "counts": "counts.to_dict()",
            "copies": "[len(twice), len(copies)]",
            "sizes": "str(dict(sizes))",
            "start_loss": "start_loss",
            "by_heart": "by_heart[-1]",
            "val_accuracy": "val_accuracy",
        },
    )
    splits = json.loads((pipeline.path / "prepared" / "dataset.json").read_text())["splits"]
    assert found["counts"] == {split: splits[split]["per_class"] for split in ("train", "val", "test")}
    assert found["copies"] == [0, 0]
    assert found["sizes"] == f"{{(8, 8): {splits['train']['count'] + splits['val']['count']}}}"
    assert found["start_loss"] == pytest.approx(math.log(10), rel=0.05)
    assert found["by_heart"][0] < 0.1
    assert found["by_heart"][1] == 1
    assert found["val_accuracy"] > 0.9
    assert pipeline.would_run() == [], "exploring writes nothing"


def test_explore_needs_no_results_and_finds_copies_in_cifar(tmp_path):
    clone = copy_tree(tmp_path / "clone")
    images = np.random.default_rng(0).integers(0, 256, (360, 3, 32, 32), dtype=np.uint8)
    labels = [i % 10 for i in range(360)]
    images[350] = images[0]  # train and test have the same image
    images[21] = images[12]  # one image, called a bird and an automobile
    write_cifar10(clone.path / "data", images, labels)
    found, printed = execute(
        clone,
        "explore",
        {
            "copies": "copies",
            "contradictory": "[sorted(classes) for classes in contradictory['classes']]",
            "train": "int(counts['train'].sum())",
            "by_heart": "by_heart[-1][1]",
        },
        {"EPOCHS = 4": "EPOCHS = 1"},
    )
    assert "data/: CIFAR-10, 360 images, 10 classes" in printed
    assert [copy["same_as"] for copy in found["copies"]] == ["test_batch/350.png"]
    assert found["contradictory"] == [["automobile", "bird"]]
    assert found["train"] + 1 + 20 + 60 == 360, "one is excluded, the rest is val and test"
    assert found["by_heart"] == 1


def test_explore_reads_parquet(tmp_path, small_dataset):
    clone = copy_tree(tmp_path / "clone")
    folders = small_dataset(tmp_path / "folders", train=30)
    clone.run("python", "scripts/pack.py", str(folders), "data")
    shutil.copy(ROOT / "recipes" / "digits.yaml", clone.path / "params.yaml")
    found, printed = execute(clone, "explore", {"images": "len(images)", "means": "list(means)"})
    assert f"parquet shards, {found['images']} images, 3 classes" in printed
    assert found["images"] == sum(split.count for split in open_folders(folders).splits.values())
    assert found["means"] == ["cat", "dog", "frog"]


def test_explore_reads_the_parameters_of_photographs(tmp_path, small_dataset):
    clone = copy_tree(tmp_path / "clone")
    small_dataset(clone.path / "data", train=20, val=5, size=40)
    for path in clone.path.glob("data/*/cat/*.png"):
        Image.open(path).crop((0, 0, 40, 20)).save(path)  # pad puts these on grey
    shrink_photos(clone)
    recipe = (clone.path / "recipes" / "photos-frozen.yaml").read_text()
    (clone.path / "params.yaml").write_text(recipe.replace("fit: crop", "fit: pad"))
    found, printed = execute(
        clone,
        "explore",
        {
            "corner": "pixels[images.index[images['class'] == 'cat'][0]][:, 0, 0].tolist()",
            "stored": "list(train_set.images.shape[1:])",
            "seen": "list(trainer.see(train_set.images[:2], None, None).shape)",
            "judged": "list(trainer.network.see(train_set.images[:2]).shape)",
            "learnt": "sum(p.requires_grad for p in trainer.network.body)",
            "by_heart": "by_heart[-1][1]",
        },
        {"EPOCHS = 4": "EPOCHS = 1"},
    )
    assert "72 × 72 (prepare.image_size, fit: pad)" in printed
    assert found["corner"] == [128, 128, 128]
    assert found["stored"] == [3, 72, 72]
    assert found["seen"] == found["judged"] == [2, 3, 64, 64]
    assert found["learnt"] > 1, "not the head alone, as in the recipe"
    assert found["by_heart"] == 1


def test_mistakes_shows_what_the_inspection_found(own):
    found, printed = execute(
        own,
        "mistakes",
        {
            "mistakes": "mistakes['path'].tolist()",
            "heat": "list(heat.shape)",
            "method": "method",
            "likely": "len(likely)",
            "slices": "slices['share'].sum()",
        },
        {"ROWS = 8": "ROWS = 2"},
    )
    table = pd.read_csv(own.path / "inspection" / "mistakes.csv")
    assert found["mistakes"] == table["path"].tolist()
    assert found["heat"] == [2, 16, 16]
    assert found["method"] == "Grad-CAM"
    assert f"{found['likely']} labels are likely wrong" in printed
    assert found["slices"] == pytest.approx(pd.read_csv(own.path / "inspection" / "slices.csv")["share"].sum())
    assert own.would_run() == [], "an inspection changes nothing"


@pytest.fixture(scope="module")
def compared(versions, tmp_path_factory) -> Clone:
    return copy_clone(versions, tmp_path_factory.mktemp("compared"))


def test_predictions_agree_with_the_metrics_and_with_both_revisions(compared):
    found, _ = execute(
        compared,
        "predictions",
        {
            "confusion": "confusion.tolist()",
            "classes": "classes",
            "recall": "table['recall'].to_dict()",
            "metrics": "metrics.to_dict()",
            "bins": "int(bins['count'].sum())",
            "mistakes": "worst_mistakes(answers, len(answers))['index'].tolist()",
            "fixed": "fixed['path'].tolist()",
            "broken": "broken['path'].tolist()",
            "changed": "changed.loc['test.loss'].tolist()",
        },
    )
    test = json.loads((compared.path / "metrics.json").read_text())["test"]
    before = json.loads(compared.run("git", "show", "baseline:metrics.json"))["test"]
    confusion = np.array(found["confusion"])
    now = pd.read_csv(compared.path / "predictions.csv")
    assert confusion.trace() / confusion.sum() == pytest.approx(test["accuracy"], abs=1e-5)
    assert confusion.sum() == found["bins"] == len(now)
    shares = confusion.diagonal() / confusion.sum(1)
    assert dict(zip(found["classes"], shares, strict=True)) == pytest.approx(test["recall"], abs=1e-5)
    assert found["recall"] == pytest.approx(test["recall"], abs=1e-5)
    assert found["metrics"]["test"]["accuracy"] == test["accuracy"]
    wrong = now[now["label"] != now["prediction"]]
    assert found["mistakes"][0] == wrong["confidence"].idxmax()
    assert sorted(found["mistakes"]) == wrong["index"].tolist()
    assert found["changed"] == pytest.approx([before["loss"], test["loss"], test["loss"] - before["loss"]])

    compared.run("dvc", "get", ".", "predictions.csv", "--rev", "baseline", "--out", ".then.tmp", "--force")
    then = pd.read_csv(compared.path / ".then.tmp")
    was_right, is_right = then["label"] == then["prediction"], now["label"] == now["prediction"]
    assert found["fixed"] == now.loc[is_right & ~was_right, "path"].tolist()
    assert found["broken"] == now.loc[~is_right & was_right, "path"].tolist()
    assert found["fixed"] or found["broken"], "else nothing was compared"


def test_predictions_of_a_tag_without_another_to_compare_with(compared):
    found, printed = execute(
        compared,
        "predictions",
        {"accuracy": "metrics.loc['accuracy', 'test']", "before": "before"},
        {'REVISION = "workspace"': 'REVISION = "baseline"', 'BEFORE = "baseline"': 'BEFORE = "nonesuch"'},
    )
    before = json.loads(compared.run("git", "show", "baseline:metrics.json"))["test"]
    assert found == {"accuracy": before["accuracy"], "before": None}
    assert "Nothing to compare with: 'nonesuch' is no revision" in printed
