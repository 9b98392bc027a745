"""prepare.py: which image goes to which split, and what is written about it."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import prepare
from classifier.data import parallel, rows
from classifier.data.images import decode
from classifier.data.layouts import Sample
from classifier.data.prepared import SplitWriter
from classifier.data.splits import Entry, hold_out
from classifier.errors import InputError
from tests.conftest import ROOT

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

NAMES = ["cat", "dog", "frog"]


@pytest.fixture
def run_prepare(workspace, params):
    """A function: run prepare.py with the given parameters; returns dataset.json and the rows of images.csv."""

    def run(changes=None):
        Path("params.yaml").write_text(params(changes))
        prepare.main()
        with open("prepared/images.csv", newline="") as file:
            return json.loads(Path("prepared/dataset.json").read_text()), list(csv.DictReader(file))

    return run


def split_of(rows: list[dict]) -> dict[str, str]:
    return {row["path"]: row["split"] for row in rows}


def load(split: str) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(f"prepared/{split}.safetensors")


def outputs() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path("prepared").iterdir())}


# Splits


def test_val_is_cut_from_each_class_of_train_by_its_fraction(small_dataset, run_prepare):
    small_dataset(train=12, test=4)
    description, _ = run_prepare({"prepare.val_fraction": 0.25})
    assert description["splits"]["train"]["per_class"] == dict.fromkeys(NAMES, 9)
    assert description["splits"]["val"]["per_class"] == dict.fromkeys(NAMES, 3)
    assert description["splits"]["test"]["per_class"] == dict.fromkeys(NAMES, 4)


def test_classes_of_different_sizes_are_each_cut_by_the_fraction(small_dataset, run_prepare):
    root = small_dataset(train=20, test=1)
    for i in range(4, 20):
        (root / f"train/cat/{i:03}.png").unlink()
    description, _ = run_prepare({"prepare.val_fraction": 0.25})
    assert description["splits"]["val"]["per_class"] == {"cat": 1, "dog": 5, "frog": 5}


def test_a_dataset_without_a_test_split_gets_one_and_says_so(small_dataset, run_prepare, capsys):
    small_dataset(train=10, test=0)
    description, rows = run_prepare({"prepare.test_fraction": 0.3, "prepare.seed": 4})
    assert description["splits"]["test"]["per_class"] == dict.fromkeys(NAMES, 3)
    assert description["splits"]["test"]["source"] == "0.3 of each class of train, cut off with seed 4"
    assert "no test split in data/" in capsys.readouterr().out
    assert all(row["path"].startswith("train/") for row in rows)


def test_with_a_test_fraction_of_0_all_images_are_in_train_and_val_which_is_said(small_dataset, run_prepare, capsys):
    small_dataset(train=8, val=4, test=0)
    description, rows = run_prepare({"prepare.test_fraction": 0})
    counts = {name: split["count"] for name, split in description["splits"].items()}
    assert counts == {"train": 24, "val": 12, "test": 0}
    assert description["splits"]["test"]["per_class"] == dict.fromkeys(NAMES, 0)
    assert description["splits"]["test"]["source"] == "none: prepare.test_fraction is 0"
    assert {row["split"] for row in rows} == {"train", "val"}
    assert len(load("test")["images"]) == len(load("test")["labels"]) == 0
    assert "prepare.test_fraction is 0: nothing is held back for a test" in capsys.readouterr().out


def test_with_a_test_fraction_of_0_val_is_cut_off_as_ever(small_dataset, run_prepare):
    small_dataset(train=12, test=0)
    description, _ = run_prepare({"prepare.test_fraction": 0})
    assert [description["splits"][split]["count"] for split in ("train", "val", "test")] == [27, 9, 0]


def test_with_a_test_fraction_of_0_the_datasets_own_test_split_is_used_all_the_same(small_dataset, run_prepare):
    small_dataset(train=8, test=3)
    run_prepare()
    expected = outputs()
    description, _ = run_prepare({"prepare.test_fraction": 0})
    assert description["splits"]["test"]["source"] == "the dataset's own test split"
    assert outputs() == expected


def test_without_a_test_split_a_class_that_val_lacks_is_named_still(small_dataset, run_prepare):
    root = small_dataset(train=8, val=1, test=0)
    (root / "val/frog/000.png").rename(root / "val/frog/000.txt")
    with pytest.raises(InputError, match="no images of these classes: frog in val"):
        run_prepare({"prepare.test_fraction": 0})


def test_the_datasets_own_splits_are_used_where_it_has_them(small_dataset, run_prepare):
    small_dataset(train=6, val=3, test=2)
    description, rows = run_prepare()
    assert {name: split["count"] for name, split in description["splits"].items()} == {"train": 18, "val": 9, "test": 6}
    assert description["splits"]["val"]["source"] == "the dataset's own val split"
    assert all(row["path"].startswith(row["split"] + "/") for row in rows)


def test_the_seed_changes_which_images_are_held_out(small_dataset, run_prepare):
    small_dataset(train=12)
    assert split_of(run_prepare({"prepare.seed": 0})[1]) != split_of(run_prepare({"prepare.seed": 1})[1])


def test_adding_images_hardly_moves_the_others_between_splits(small_dataset, run_prepare):
    root = small_dataset(train=44, test=1)
    after = split_of(run_prepare()[1])
    for path in root.glob("train/*/00[0-3].png"):
        path.unlink()
    before = split_of(run_prepare()[1])
    assert len(after) == len(before) + 12
    assert sum(before[path] != after[path] for path in before) <= 6


def test_the_split_does_not_depend_on_the_order_of_the_files():
    entries = [Entry(f"train/{n}/{i}.png", c, f"{n}{i}", "train") for c, n in enumerate(NAMES) for i in range(9)]
    chosen = {entry.path for entry in hold_out(entries, "val", 0.3, seed=0) if entry.split == "val"}
    assert {entry.path for entry in hold_out(entries[::-1], "val", 0.3, seed=0) if entry.split == "val"} == chosen
    assert Counter(path.split("/")[1] for path in chosen) == dict.fromkeys(NAMES, 3)


def test_the_split_does_not_depend_on_the_names_of_the_files(small_dataset, run_prepare):
    root = small_dataset(train=12, test=1)
    before = {row["sha256"]: row["split"] for row in run_prepare()[1]}
    for path in root.glob("train/*/*.png"):
        path.rename(path.with_name(f"renamed-{path.name[::-1]}.png"))
    assert {row["sha256"]: row["split"] for row in run_prepare()[1]} == before


def test_a_class_too_small_for_all_splits_is_named(small_dataset, run_prepare):
    root = small_dataset(train=8, test=2)
    for i in range(1, 8):
        (root / f"train/dog/{i:03}.png").unlink()
    with pytest.raises(InputError, match="no images of these classes: dog in train"):
        run_prepare()


def test_a_class_without_images_in_a_split_is_named(small_dataset, run_prepare):
    root = small_dataset(train=8, test=1)
    (root / "test/frog/000.png").rename(root / "test/frog/000.txt")
    with pytest.raises(InputError, match="no images of these classes: frog in test"):
        run_prepare()


# The same image in two splits


def test_a_training_image_that_is_also_in_test_is_left_out_and_reported(small_dataset, run_prepare, capsys):
    root = small_dataset(train=8, test=2)
    copy, original = root / "train/dog/zzz.png", root / "test/cat/001.png"
    copy.write_bytes(original.read_bytes())
    description, rows = run_prepare()
    assert description["excluded"] == [{"path": "train/dog/zzz.png", "same_as": "test/cat/001.png"}]
    assert split_of(rows)["train/dog/zzz.png"] == "excluded"
    assert split_of(rows)["test/cat/001.png"] == "test"
    assert sum(split["count"] for split in description["splits"].values()) == 30
    printed = capsys.readouterr().out
    assert "excluded train/dog/zzz.png: the same image as test/cat/001.png" in printed
    assert "excluded 1 image(s)" in printed


def test_copies_are_left_out_of_val_for_test_and_of_train_for_both(small_dataset, run_prepare):
    root = small_dataset(train=3, val=3, test=3)
    (root / "val/cat/000.png").write_bytes((root / "test/cat/000.png").read_bytes())
    (root / "train/dog/000.png").write_bytes((root / "val/dog/000.png").read_bytes())
    (root / "train/frog/000.png").write_bytes((root / "test/frog/000.png").read_bytes())
    description, _ = run_prepare()
    assert sorted((pair["path"], pair["same_as"]) for pair in description["excluded"]) == [
        ("train/dog/000.png", "val/dog/000.png"),
        ("train/frog/000.png", "test/frog/000.png"),
        ("val/cat/000.png", "test/cat/000.png"),
    ]
    assert {n: s["count"] for n, s in description["splits"].items()} == {"train": 7, "val": 8, "test": 9}


def test_copies_within_a_split_stay(small_dataset, run_prepare):
    root = small_dataset(train=3, val=2, test=2)
    (root / "train/cat/again.png").write_bytes((root / "train/cat/000.png").read_bytes())
    description, _ = run_prepare()
    assert description["excluded"] == []
    assert description["splits"]["train"]["per_class"]["cat"] == 4


# What is written


def test_each_row_of_images_csv_leads_to_its_image_and_label_in_the_tensors(small_dataset, run_prepare):
    root = small_dataset(train=8, test=3, size=20)
    (root / "train/cat/zzz.png").write_bytes((root / "test/cat/001.png").read_bytes())
    _, rows = run_prepare()
    tensors = {split: load(split) for split in ("train", "val", "test")}
    used = [row for row in rows if row["split"] != "excluded"]
    assert len(used) == 33
    for row in used:
        split, index = tensors[row["split"]], int(row["index"])
        assert np.array_equal(split["images"][index], decode((root / row["path"]).read_bytes(), 16))
        assert split["labels"][index] == NAMES.index(row["class"])
    assert {name: len(split["images"]) for name, split in tensors.items()} == dict(Counter(r["split"] for r in used))


def test_chunks_and_threads_keep_the_order_of_the_images(small_dataset, run_prepare, monkeypatch):
    small_dataset(train=8, test=3)
    run_prepare()
    expected = outputs()
    for chunk, worth_a_thread in (((5, 10**9), 0), ((256, 5 * 3 * 16**2), 2000), ((5, 10**9), 10**9)):
        monkeypatch.setattr(prepare, "CHUNK", chunk)
        monkeypatch.setattr(parallel, "WORTH_A_THREAD", worth_a_thread)
        run_prepare()
        assert outputs() == expected


def test_mean_and_std_are_those_of_the_training_split(small_dataset, run_prepare):
    small_dataset()
    description, _ = run_prepare()
    pixels = load("train")["images"] / 255.0
    assert description["mean"] == pytest.approx(pixels.mean((0, 2, 3)), abs=1e-12)
    assert description["std"] == pytest.approx(pixels.std((0, 2, 3)), abs=1e-9)


def test_a_colour_channel_that_never_varies_does_not_divide_by_zero(small_dataset, run_prepare):
    root = small_dataset()
    for path in root.rglob("*.png"):
        pixels = np.asarray(Image.open(path)).copy()
        pixels[..., 2] = 0
        Image.fromarray(pixels).save(path)
    description, _ = run_prepare()
    assert min(description["std"]) > 0, "images are divided by it"


@pytest.mark.parametrize("image_size", [16, 7])
def test_the_safetensors_library_reads_what_is_written(small_dataset, run_prepare, image_size):
    small_dataset(train=9, test=3)
    description, _ = run_prepare({"prepare.image_size": image_size, "prepare.val_fraction": 0.34})
    for split in ("train", "val", "test"):
        tensors = load(split)
        count = description["splits"][split]["count"]
        assert (tensors["images"].shape, tensors["images"].dtype) == ((count, 3, image_size, image_size), np.uint8)
        assert (tensors["labels"].shape, tensors["labels"].dtype) == ((count,), np.int64)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
@pytest.mark.parametrize("image_size", [5, 8])
def test_tensors_written_piece_by_piece_are_read_back(count, image_size, monkeypatch):
    monkeypatch.setattr(rows, "BLOCK", 3 * 3 * image_size**2)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, count)
    images = rng.integers(0, 256, (count, 3, image_size, image_size), dtype=np.uint8)
    file = io.BytesIO()
    writer = SplitWriter(file, labels, image_size)
    for image in images:
        writer.append(image[None])
    tensors = safetensors.numpy.load(file.getvalue())
    assert np.array_equal(tensors["images"], images)
    assert np.array_equal(tensors["labels"], labels)
    head = file.getvalue()[: -images.nbytes]
    blocks = [images[i : i + 3].tobytes() for i in range(0, count, 3)]
    digests = [hashlib.sha256(part).hexdigest() for part in (head, *blocks)]
    assert writer.digests() == {"head": digests[0], "blocks": digests[1:]}


def test_two_runs_in_processes_with_other_hash_seeds_write_the_same_bytes(small_dataset, run_prepare):
    small_dataset()
    run_prepare()
    expected = outputs()
    assert sorted(expected) == [
        "dataset.json",
        "images.csv",
        "test.safetensors",
        "train.safetensors",
        "val.safetensors",
    ]
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, ROOT / "prepare.py"], env=environment, check=True, capture_output=True)
        assert outputs() == expected


# Bad images


@pytest.mark.parametrize("worth_a_thread", [0, 10**9])
def test_all_images_that_cannot_be_used_are_named_and_nothing_is_written(
    small_dataset, run_prepare, monkeypatch, worth_a_thread
):
    monkeypatch.setattr(parallel, "WORTH_A_THREAD", worth_a_thread)
    root = small_dataset()
    whole = (root / "train/cat/000.png").read_bytes()
    (root / "train/cat/000.png").write_bytes(whole[: len(whole) // 2])
    (root / "train/frog/003.png").write_bytes(b"")
    (root / "test/dog/001.png").rename(root / "test/dog/001.jpg")
    (root / "test/dog/001.jpg").write_text("no image")
    with pytest.raises(InputError) as error:
        run_prepare()
    assert "3 image(s) that cannot be used; mend or remove them:" in str(error.value)
    for name, reason in (
        ("train/cat/000.png", "damaged"),
        ("train/frog/003.png", "the file is empty"),
        ("test/dog/001.jpg", "not an image"),
    ):
        assert f"\n  {name}: {reason}" in str(error.value)
    assert not Path("prepared").exists() or not list(Path("prepared").iterdir())


def test_a_bad_image_leaves_what_an_earlier_run_wrote(small_dataset, run_prepare):
    root = small_dataset()
    run_prepare()
    before = outputs()
    (root / "train/cat/000.png").write_bytes(b"")
    with pytest.raises(InputError):
        run_prepare()
    assert outputs() == before


def test_few_images_are_in_memory_at_a_time(monkeypatch):
    alive, most = set(), 0

    def samples():
        for i in range(200):
            alive.add(i)
            nonlocal most
            most = max(most, len(alive))
            yield Sample(str(i), i, bytes(1000))

    def work(sample):
        return sample.label

    monkeypatch.setattr(parallel, "WORTH_A_THREAD", 3000)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    for i, label in enumerate(parallel.on_all_cores(work, samples())):
        assert label == i
        alive.discard(i)
    assert 3 < most <= 3 * 6, "groups of three: four that wait, one that is read, one that is taken"


# Augmentation that is written into the training split

AUGMENT = {"RandomHorizontalFlip": {"p": 1}, "ColorJitter": {"brightness": 0.5}}


def test_augmentation_changes_the_training_images_alone(small_dataset, run_prepare):
    small_dataset()
    run_prepare()
    plain = {split: load(split) for split in ("train", "val", "test")}
    description, _ = run_prepare({"prepare.augment": AUGMENT})
    augmented = {split: load(split) for split in ("train", "val", "test")}
    for split in ("val", "test"):
        assert np.array_equal(augmented[split]["images"], plain[split]["images"])
    assert (augmented["train"]["images"] != plain["train"]["images"]).any((1, 2, 3)).all()
    assert np.array_equal(augmented["train"]["labels"], plain["train"]["labels"])
    assert description["mean"] == pytest.approx((augmented["train"]["images"] / 255.0).mean((0, 2, 3)))


def test_a_flip_written_into_the_training_split_is_exact(small_dataset, run_prepare):
    small_dataset()
    run_prepare()
    plain = load("train")["images"]
    run_prepare({"prepare.augment": {"RandomHorizontalFlip": {"p": 1}}})
    assert np.array_equal(load("train")["images"], plain[..., ::-1])


def test_augmentation_is_the_same_for_the_same_seed_and_differs_for_another(small_dataset, run_prepare):
    small_dataset(val=2)
    run_prepare({"prepare.augment": AUGMENT})
    first = outputs()
    run_prepare({"prepare.augment": AUGMENT})
    assert outputs() == first
    run_prepare({"prepare.augment": AUGMENT, "prepare.seed": 1})
    assert outputs()["train.safetensors"] != first["train.safetensors"]


def test_an_augmentation_that_changes_the_image_size_is_refused(small_dataset, run_prepare):
    small_dataset()
    with pytest.raises(InputError, match=r"prepare\.augment"):
        run_prepare({"prepare.augment": {"RandomCrop": {"size": 8}}})


# Starting it


def test_params_are_checked_before_any_data_is_read(run_prepare):
    with pytest.raises(InputError, match=r"train\.lr"):
        run_prepare({"train.lr": -1})


def test_a_class_that_would_be_a_second_column_of_predictions_is_refused(small_dataset, run_prepare):
    root = small_dataset()
    for split in ("train", "test"):
        (root / split / "dog").rename(root / split / "label")
    with pytest.raises(InputError, match="class called label"):
        run_prepare()


def test_a_dataset_of_one_class_is_refused(small_dataset, run_prepare):
    root = small_dataset()
    for split in ("train", "test"):
        for name in ("dog", "frog"):
            (root / split / name).rename(root.parent / f"{split}-{name}")
    with pytest.raises(InputError, match="class"):
        run_prepare()


def test_without_augmentation_nothing_slow_is_imported():
    program = "import prepare, sys; print({'torch', 'sklearn', 'scipy', 'matplotlib'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("script", ["prepare.py", "train.py", "evaluate.py", "scripts/pack.py", "scripts/reweight.py"])
def test_python_without_the_packages_is_told_to_activate_the_environment(script):
    done = subprocess.run([sys.executable, "-S", "-s", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "source .venv/bin/activate" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


# What is kept, and doubted aloud


def test_an_image_under_two_classes_is_said_counted_and_listed(small_dataset, run_prepare, capsys):
    root = small_dataset(train=8, val=5, test=1)
    (root / "train/dog/zzz.png").write_bytes((root / "train/cat/000.png").read_bytes())
    description, rows = run_prepare()
    assert description["conflicts"] == [{"train/cat/000.png": "cat", "train/dog/zzz.png": "dog"}]
    assert {split_of(rows)[path] for path in description["conflicts"][0]} == {"train"}
    said = capsys.readouterr().out
    assert "under two classes: train/cat/000.png (cat) = train/dog/zzz.png (dog)" in said
    assert "1 image(s) lie under two classes" in said


def test_with_conflicts_error_images_under_two_classes_are_refused_before_anything_is_written(
    small_dataset, run_prepare, workspace, capsys
):
    root = small_dataset(train=8, val=5, test=1)
    for i in range(12):  # more than the listing that only warns
        content = (root / f"train/cat/{i % 8:03}.png").read_bytes() + b"." * (i // 8)  # more bytes, the same image
        (root / f"train/cat/y{i}.png").write_bytes(content)
        (root / f"train/dog/z{i}.png").write_bytes(content)
    (root / "test/frog/z.png").write_bytes((root / "train/cat/007.png").read_bytes())
    with pytest.raises(InputError, match=r"12 image\(s\) under two classes") as error:
        run_prepare({"prepare.conflicts": "error"})
    for i in range(12):
        assert f"train/cat/y{i}.png (cat) = train/dog/z{i}.png (dog)" in str(error.value)
    assert "test/frog/z.png (frog)" in str(error.value)
    assert not (workspace / "prepared").exists()


def test_with_conflicts_error_copies_within_a_class_are_no_conflict(small_dataset, run_prepare):
    root = small_dataset(train=8, val=5, test=1)
    (root / "train/cat/zzz.png").write_bytes((root / "train/cat/000.png").read_bytes())
    kept, _ = run_prepare({"prepare.conflicts": "keep"})
    assert run_prepare({"prepare.conflicts": "error"})[0] == kept


@pytest.mark.parametrize(("times", "listed"), [(4, False), (5, True)])
def test_a_picture_that_recurs_is_said_and_listed(small_dataset, run_prepare, capsys, times, listed):
    root = small_dataset(train=8, val=5, test=1)
    for i in range(times - 1):
        (root / f"train/cat/z{i}.png").write_bytes((root / "train/cat/000.png").read_bytes())
    description, _ = run_prepare()
    assert description.get("recurring") == ([{"path": "train/cat/000.png", "times": 5}] if listed else None)
    assert ("train/cat/000.png is there 5 times: a placeholder?" in capsys.readouterr().out) == listed


def test_without_a_doubt_nothing_is_said_or_listed(small_dataset, run_prepare, capsys):
    small_dataset(train=8, val=5, test=1)
    description, _ = run_prepare()
    assert {"conflicts", "recurring"} & description.keys() == set()
    said = capsys.readouterr().out
    assert "val has less" not in said
    assert "two classes" not in said


@pytest.mark.parametrize(("val", "fraction"), [(4, 0.1), (0, 0.5)], ids=["own", "cut off"])
def test_few_images_to_choose_by_are_said(small_dataset, run_prepare, capsys, val, fraction):
    small_dataset(train=8, val=val, test=1)
    run_prepare({"prepare.val_fraction": fraction})
    said = capsys.readouterr().out
    assert "val has less than 5 images of 3 class(es) (cat: 4, dog: 4, frog: 4)" in said
