"""What in data/ is a split, a shard, a class and an image, and what is not: nothing is passed over in silence."""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from unicodedata import normalize

from classifier.data.layouts import open_dataset
from classifier.data.layouts.leftout import UNREAD, kind_of_service
from classifier.errors import InputError

import pyarrow
import pyarrow.parquet
import pytest

NAMES = ["cat", "dog", "frog"]


def refused(root) -> str:
    """The message with which the dataset is refused, on opening or on reading it."""
    with pytest.raises(InputError) as error:
        for split in open_dataset(root).splits.values():
            list(split.samples())
    return str(error.value)


def counts(root) -> dict[str, int]:
    return {name: split.count for name, split in open_dataset(root).splits.items()}


# Splits


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[(name, "val") for name in ("valid", "validation", "dev", "Val", "VAL", "Validation", "DEV")],
        *[(name, "test") for name in ("Test", "TEST", "testing")],
        *[(name, "train") for name in ("Train", "TRAIN", "training")],
    ],
)
def test_a_folder_that_plainly_means_a_split_is_that_split_and_it_is_said(small_dataset, capsys, name, split):
    root = small_dataset(train=6, val=3, test=2)
    (root / split).rename(root / name)
    assert counts(root) == {"train": 18, "val": 9, "test": 6}
    assert next(open_dataset(root).splits[split].samples()).path == f"{name}/cat/000.png"
    assert f"{name}/ is taken for the {split} split" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["vall", "unlabeled", "extra", "trainval", "train2", "test_old", "images"])
def test_a_folder_that_is_no_split_is_refused_by_name(small_dataset, name):
    root = small_dataset()
    (root / name / "cat").mkdir(parents=True)
    assert f"{root / name}/ is no split" in refused(root)


@pytest.mark.parametrize("name", ["eval", "Evaluation", "holdout"])
def test_a_folder_that_may_be_val_or_test_is_refused_by_name(small_dataset, name):
    root = small_dataset()
    (root / name / "cat").mkdir(parents=True)
    assert f"{root / name}/ may mean val or test" in refused(root)


@pytest.mark.parametrize(("one", "other"), [("val", "valid"), ("validation", "dev"), ("test", "TEST"), ("val", "Val")])
def test_two_folders_for_one_split_are_refused(small_dataset, one, other):
    root = small_dataset(test=0)
    for name in (one, other):
        shutil.copytree(root / "train", root / name)
    message = refused(root)
    assert f"{root / one}/" in message
    assert f"{root / other}/" in message


def test_two_folders_of_training_images_are_refused(small_dataset):
    root = small_dataset()
    shutil.copytree(root / "train", root / "training")
    assert "several datasets" in refused(root)


# What is no part of the dataset

SERVICE_FOLDERS = [
    *["@eaDir", "@EADIR", ".AppleDouble", "__MACOSX", ".thumbnails", "#recycle", "$RECYCLE.BIN", "lost+found"],
    *[
        "System Volume Information",
        ".dropbox.cache",
        ".stfolder",
        ".stversions",
        ".sync",
        "@Recycle",
        ".@__thumb",
        "~snapshot",
    ],
    *["Network Trash Folder", ".Trash-1000", ".ipynb_checkpoints", "cat (conflicted copy 2024-05-01)"],
]
SERVICE_FILES = [
    *["Thumbs.db", "thumbs.DB", "ehthumbs.db", ".DS_Store", "._000.png", "desktop.ini", "Desktop.ini", "Icon\r"],
    *["000 (John's conflicted copy 2024-05-01).png", "000 (conflicted copy 2024-05-01 123456).png"],
    *["000 (Case Conflict 1).png", "000 (Unicode Encoding Conflict).png", "000.sync-conflict-20240501-123456-ABC.png"],
    *["000_conflict-20240501-123456.png", "000.Conflict.png", "000 (SFConflict me@home 2024-05-01-12-34-56).png"],
    *["000[Conflict].png", ".syncthing.000.png.tmp", "~syncthing~000.png.tmp", ".000.png.icloud"],
    *["000 (In Konflikt stehende Kopie von PC 2024-05-01).png", "000 (Copie en conflit de PC 2024-05-01).png"],
    *["000 (Copia en conflicto de PC 2024-05-01).png", "000 (copia in conflitto di PC 2024-05-01).png"],
    *[normalize(form, "000 (PC の競合コピー 2024-05-01).png") for form in ("NFC", "NFD")],
]


@pytest.mark.parametrize("name", SERVICE_FOLDERS)
@pytest.mark.parametrize("place", ["", "train", "train/cat"])
def test_folders_of_file_systems_and_sync_programs_are_left_out_counted_and_said(small_dataset, capsys, place, name):
    root = small_dataset(train=2, test=1)
    before = counts(root)
    for i in range(2):
        picture = root / place / name / f"sub{i}" / "thumb.png"
        picture.parent.mkdir(parents=True)
        shutil.copy(root / "train/dog/000.png", picture)
    dataset = open_dataset(root)
    assert dataset.classes == NAMES
    assert {s: split.count for s, split in dataset.splits.items()} == before
    assert f"left out what file systems and sync programs keep: 1 × {kind_of_service(name)}" in capsys.readouterr().out


@pytest.mark.parametrize("name", SERVICE_FILES)
def test_files_of_file_systems_and_sync_programs_are_left_out_counted_and_said(small_dataset, capsys, name):
    root = small_dataset(train=2, test=1)
    before = counts(root)
    for folder in ("cat", "dog"):
        (root / "train" / folder / name).write_bytes(b"no image")
    assert counts(root) == before
    said = capsys.readouterr().out
    assert f"2 × {kind_of_service(name)}, such as " in said
    assert "/train/cat/" in said


@pytest.mark.parametrize(
    "name",
    [
        *["conflict", "in conflict.png", "cat (1).png", "a@b", "#1", "recycle", "thumbnails", "copy of 000.png"],
        *["war (conflict).png", "demo (Konflikt).png", "walk 2024-05-01.png", "a (2024-05-01).png"],
    ],
)
def test_names_that_people_give_are_left_in(name):
    assert kind_of_service(name) is None


@pytest.mark.parametrize("ending", sorted(UNREAD))
def test_pictures_of_formats_that_are_not_read_are_named_with_the_remedy(small_dataset, capsys, ending):
    root = small_dataset(train=2, test=1)
    for i in range(3):
        (root / f"train/cat/IMG_{i}{ending.upper()}").write_bytes(b"any")
    assert counts(root) == {"train": 6, "test": 3}
    said = capsys.readouterr().out
    assert f"left out 3 picture(s) of formats that are not read ({ending})" in said
    assert "IMG_0" in said
    assert "convert them to JPEG or PNG" in said
    assert "no image format" not in said


@pytest.mark.parametrize("place", ["a.png", "train/a.png", "test/a.png"])
def test_pictures_in_no_class_folder_are_counted_and_said(small_dataset, capsys, place):
    root = small_dataset(train=2, test=1)
    shutil.copy(root / "train/cat/000.png", root / place)
    assert counts(root) == {"train": 6, "test": 3}
    assert f"ignored 1 picture(s) that lie in no class folder, such as {root / place}" in capsys.readouterr().out


NOT_READ = "left out 1 picture(s) of formats that are not read (.heic)"
NO_IMAGE = "ignored 1 file(s) with the ending of no image"
SERVICE = ["Thumbs.db", ".DS_Store", "train/Thumbs.db", "test/.hidden.png"]


@pytest.mark.parametrize(
    "place, words",
    [
        *[(place, f"1 × {kind_of_service(Path(place).name)}") for place in SERVICE],
        *[(place, NOT_READ) for place in ("IMG_1.HEIC", "train/IMG_1.HEIC", "test/IMG_1.HEIC")],
        *[(place, NO_IMAGE) for place in ("labels.csv", "train.zip", "train/metadata.jsonl", "train/cow.tar")],
        ("test/cat.zip", NO_IMAGE),
    ],
)
def test_other_files_outside_class_folders_are_counted_and_said_as_what_they_are(small_dataset, capsys, place, words):
    root = small_dataset(train=2, test=1)
    (root / place).write_bytes(b"any")
    assert counts(root) == {"train": 6, "test": 3}
    said = capsys.readouterr().out
    assert f"{words}, such as {root / place}" in said
    assert said.count("such as") == 1


@pytest.mark.parametrize("name", ["val.zip", "Validation.tar.gz", "dev.TGZ", "valid.7z", "val.tar.zst", "val.rar"])
@pytest.mark.parametrize("layout", ["folders", "shards"])
def test_an_archive_that_would_be_a_split_is_refused_by_name(small_dataset, tmp_path, layout, name):
    root = small_dataset(train=2, test=1) if layout == "folders" else tmp_path
    if layout == "shards":
        write_shard(root / "train-00000-of-00001.parquet")
    (root / name).write_bytes(b"any")
    assert str(root / name) in refused(root)
    (root / name).unlink()
    open_dataset(root)


@pytest.mark.parametrize("name", ["test", "Valid"])
def test_a_folder_of_images_beside_shards_is_refused_by_name(small_dataset, tmp_path, name):
    images = small_dataset(train=2, test=1) / "test"
    write_shard(tmp_path / "train-00000-of-00001.parquet")
    shutil.copytree(images, tmp_path / name)
    assert str(tmp_path / name) in refused(tmp_path)


# What cannot be read


@pytest.fixture
def as_nobody():
    """A folder that everyone may enter, and a function whose block runs as a user who has no rights beyond that."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)

        @contextlib.contextmanager
        def nobody():
            root = os.geteuid() == 0  # root may read everything; anybody else is a nobody already
            if root:
                os.seteuid(65534)
            try:
                yield
            finally:
                if root:
                    os.seteuid(0)

        yield Path(folder), nobody
        for path in Path(folder).rglob("*"):
            path.chmod(0o755)


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o311], ids=["nothing", "listed", "entered"])
@pytest.mark.parametrize("place", ["train/cat/sub", "train/cat", "train", "val", "."])
def test_a_folder_that_cannot_be_read_is_refused_by_name(small_dataset, as_nobody, place, mode):
    folder, nobody = as_nobody
    root = small_dataset(folder / "data", val=1)
    (root / "train/cat/sub").mkdir()
    (root / "train/cat/000.png").rename(root / "train/cat/sub/a.png")
    (root / place).chmod(mode)
    with nobody():
        message = refused(root)
    (root / place).chmod(0o755)
    assert f"{root / place}" in message
    assert "cannot be read (Permission denied)" in message


def test_a_file_that_cannot_be_read_is_refused_by_name(small_dataset, as_nobody):
    folder, nobody = as_nobody
    root = small_dataset(folder / "data")
    (root / "train/dog/003.png").chmod(0)
    with nobody():
        assert f"{root}/train/dog/003.png cannot be read" in refused(root)


def test_a_folder_of_shards_that_cannot_be_read_is_refused_by_name(as_nobody):
    folder, nobody = as_nobody
    write_shard(folder / "train-0.parquet")
    write_shard(folder / "sub/test-0.parquet")
    (folder / "sub").chmod(0)
    with nobody():
        assert f"{folder / 'sub'} cannot be read" in refused(folder)


# Shards

IMAGE, LABEL = {"_type": "Image"}, {"_type": "ClassLabel", "names": NAMES}


def write_shard(path, features=None, rows=3):
    """A shard of `rows` images of one byte each, whose columns count the class, each from another one on."""
    features = features or {"image": IMAGE, "label": LABEL}
    columns = {}
    for start, (name, feature) in enumerate(features.items()):
        images = [{"bytes": bytes([start, i]), "path": f"{i}.png"} for i in range(rows)]
        columns[name] = images if feature is IMAGE else [(i + start) % len(NAMES) for i in range(rows)]
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns).replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["train-00000-of-00003", "train-00002-of-00003"], "train-00001-of-00003.parquet"),
        (["train-00001-of-00002"], "train-00000-of-00002.parquet"),
        (["train-00000-of-00002"], "train-00001-of-00002.parquet"),
        (["default/train/0000", "default/train/0002"], "0001.parquet"),
        (["train/0001", "train/0002"], "0000.parquet"),
        (["train-0", "train-2"], "train-1.parquet"),
        (["train_001", "train_003"], "train_002.parquet"),
        (["train-0", "validation-00001-of-00002"], "validation-00000-of-00002.parquet"),
        (["train-0", "test-00000-of-00002"], "test-00001-of-00002.parquet"),
    ],
)
def test_a_missing_shard_of_a_numbered_set_is_named(tmp_path, names, missing):
    for name in names:
        write_shard(tmp_path / f"{name}.parquet")
    message = refused(tmp_path)
    assert f"lacks 1 of {2 if '2' in missing.split('-of-')[-1] and 'of' in missing else 3}" in message
    assert f": {missing}: fetch the rest" in message


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002", "train-00001-of-00002"],
        ["train-00000-of-00002-0a1b2c3d4e5f6789", "train-00001-of-00002-98765f4e3d2c1b0a"],
        ["train-1", "train-2"],
        ["train-2023", "train-2024"],
        ["train-a", "train-b"],
        ["train/0000", "train/0001"],
        ["default/train/0000", "default/train/0001"],
        ["train/train-00000-of-00002", "train/train-00001-of-00002"],
        ["train/part-00000", "train/part-00001"],
        ["Train-0", "training-1"],
        ["train_0", "train_1"],
    ],
)
def test_whole_sets_are_read(tmp_path, names):
    for name in names:
        write_shard(tmp_path / f"{name}.parquet")
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.classes, dataset.splits["train"].count) == ("parquet shards", NAMES, 6)
    assert [s.path for s in dataset.splits["train"].samples()][3] == f"{names[1]}.parquet#0"


@pytest.mark.parametrize(
    ("folder", "split"), [("validation", "val"), ("valid", "val"), ("dev", "val"), ("test", "test"), ("Test", "test")]
)
@pytest.mark.parametrize("pattern", ["{}-00000-of-00001", "{}", "{}/0000", "default/{}/0000", "{0}/{0}-0", "data/{}-0"])
def test_the_split_of_a_shard_is_told_by_its_name_or_its_folder(tmp_path, pattern, folder, split):
    write_shard(tmp_path / f"{pattern.format('train')}.parquet", rows=6)
    write_shard(tmp_path / f"{pattern.format(folder)}.parquet", rows=2)
    assert counts(tmp_path) == {"train": 6, split: 2}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train-00000-of-00001", "train-00000-of-00002"], "are not of one set"),
        (["train-00000-of-00001", "train"], "are not of one set"),
        (["train-00000-of-00001", "train-00000-of-00001-0a1b2c3d"], "have the same number"),
        (["train-00000-of-00001", "train-00001-of-00001"], "does not belong to a set of 1"),
        (["train-0", "eval-0"], "may mean val or test"),
        (["train-0", "extra-0"], "'extra' is no split"),
        (["train/0000", "train/eval-0"], "may mean val or test"),
        (["train-0", "partial-train/0000"], "'partial-train' is no split"),
        (["train-0", "test/train-1"], "its name says train and its folder test"),
        (["one/train-0", "two/train-0"], "holds 2 configurations"),
        (["train-0", "two/train-0"], "holds 2 configurations"),
        (["one/train/0000", "two/train/0000"], "holds 2 configurations"),
    ],
)
def test_shards_that_do_not_belong_together_are_refused(tmp_path, names, said):
    for name in names:
        write_shard(tmp_path / f"{name}.parquet")
    assert said in refused(tmp_path)


@pytest.mark.parametrize("ending", [".part", ".crdownload", ".incomplete", ".gz", ".PARQUET"])
def test_a_shard_of_which_there_is_only_a_part_is_refused_by_name(tmp_path, ending):
    write_shard(tmp_path / "train-0.parquet")
    part = tmp_path / (f"train-1.parquet{ending}" if ending != ".PARQUET" else "train-1.PARQUET")
    part.write_bytes(b"PAR1")
    assert f"{part} is no" in refused(tmp_path)
    part.unlink()
    write_shard(tmp_path / "train-1.parquet")
    (tmp_path / "train-1.parquet.dvc").write_text("outs: []\n")  # what belongs to a shard that is there
    assert counts(tmp_path) == {"train": 6}


def test_conflict_copies_of_shards_are_left_out_and_said(tmp_path, capsys):
    for name in ("train-00000-of-00001", "train-00000-of-00001 (conflicted copy 2024-05-01)", ".cache/train-0"):
        write_shard(tmp_path / f"{name}.parquet")
    assert counts(tmp_path) == {"train": 3}
    assert "1 × conflict copies" in capsys.readouterr().out


def test_which_of_several_columns_is_taken_is_said(tmp_path, capsys):
    features = {"thumbnail": IMAGE, "image": IMAGE, "coarse": LABEL, "fine": LABEL}
    write_shard(tmp_path / "train-0.parquet", features)
    samples = list(open_dataset(tmp_path).splits["train"].samples())
    assert [s.image[0] for s in samples] == [0, 0, 0], "of the first image column"
    assert [s.label for s in samples] == [2, 0, 1], "of the first label column"
    said = capsys.readouterr().out
    assert "2 Image columns (thumbnail, image): thumbnail is taken" in said
    assert "2 ClassLabel columns (coarse, fine): coarse is taken" in said


def test_one_column_of_each_kind_needs_no_word(tmp_path, capsys):
    write_shard(tmp_path / "train-0.parquet")
    open_dataset(tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cat", "dog", "cat"], "several classes called 'cat'"),
        (["cat", "", "dog"], "name is empty or no text, such as ''"),
        (["cat", " ", "dog"], "such as ' '"),
        ([1, 2, 3], "text"),
        (["cat", None, "dog"], "text"),
    ],
)
def test_classes_without_a_name_of_their_own_are_refused(tmp_path, names, said):
    write_shard(tmp_path / "train-0.parquet", {"image": IMAGE, "label": LABEL | {"names": names}})
    assert said in refused(tmp_path)


# Several datasets


def test_two_layouts_in_one_folder_are_refused_with_the_choice(small_dataset):
    root = small_dataset()
    write_shard(root / "train-0.parquet")
    (root / "cifar-100-python").mkdir()
    message = refused(root)
    assert "several datasets: keep one of" in message
    for name in ("train-0.parquet", "cifar-100-python", "data/train"):
        assert name in message
