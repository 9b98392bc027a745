"""classifier/data/survey.py, alike.py and oddities.py: what lies in a dataset, and what is odd about it."""

import io
from pathlib import Path

from classifier.data import alike
from classifier.data import survey as survey_module
from classifier.data.layouts import open_dataset
from classifier.data.oddities import oddities
from classifier.data.survey import survey

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image


def photo(seed: int, size: tuple[int, int] = (96, 128)) -> Image.Image:
    """Blurred colours in places of their own: as photographs, unlike each other, and the same when enlarged."""
    few = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(few).resize(size, Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, form: str = "JPEG", quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, quality=quality)
    return buffer.getvalue()


@pytest.fixture
def data(tmp_path):
    """A function that adds an image to data/, which has 25 photographs for each of two classes and three splits."""
    for i, split in enumerate(("train", "val", "test")):
        for j, name in enumerate(("cat", "dog")):
            for k in range(25):
                path = tmp_path / "data" / split / name / f"{k}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(photo(1000 * i + 100 * j + k)))

    def add(path: str, content: bytes) -> None:
        (tmp_path / "data" / path).write_bytes(content)

    return add


@pytest.fixture
def look(tmp_path):
    """A function: what is odd in data/, as {what: examples}."""

    def odd(everything: bool = False) -> dict[str, list[str]]:
        return {
            oddity.what: oddity.examples for oddity in oddities(survey(open_dataset(tmp_path / "data"), everything))
        }

    return odd


def cut(picture: Image.Image) -> Image.Image:
    """Without 2 % of each side."""
    width, height = picture.size
    return picture.crop((round(width / 100), round(height / 100), round(width * 0.99), round(height * 0.99)))


COPIES = {
    "re-encoded": encoded(photo(0), quality=40),
    "as PNG": encoded(photo(0), "PNG"),
    "half the size": encoded(photo(0).resize((48, 64))),
    "twice the size": encoded(photo(0).resize((192, 256))),
    "other shape": encoded(photo(0).resize((128, 96))),
    "cut by 2 %": encoded(cut(photo(0))),
    "brighter": encoded(photo(0).point(lambda level: level * 1.1)),
}
NEAR = "1 picture in two splits, near-duplicates"


def test_nothing_is_odd_about_photographs_that_differ(data, look):
    assert look() == {}


@pytest.mark.parametrize("copy", COPIES)
def test_a_near_duplicate_in_another_split_is_found(data, look, copy):
    data("test/cat/copy.jpg", COPIES[copy])
    assert look() == {NEAR: ["train/cat/0.jpg looks like test/cat/copy.jpg"]}


def test_equal_bytes_in_another_split_are_told_apart_from_near_duplicates(data, look):
    data("val/cat/copy.jpg", encoded(photo(0)))
    assert look() == {"1 picture in two splits, equal bytes": ["train/cat/0.jpg = val/cat/copy.jpg"]}


@pytest.mark.parametrize("quality, sign", [(90, "="), (60, "looks like")])
def test_copies_within_a_split(data, look, quality, sign):
    data("train/cat/copy.jpg", encoded(photo(0), quality=quality))
    ((what, examples),) = look().items()
    assert what.startswith("1 picture more than once in a split, ")
    assert examples == [f"train/cat/0.jpg {sign} train/cat/copy.jpg"]


@pytest.mark.parametrize("quality, sign", [(90, "="), (60, "looks like")])
def test_one_picture_under_two_classes(data, look, quality, sign):
    data("train/dog/copy.jpg", encoded(photo(0), quality=quality))
    assert look() == {"1 picture under two classes or more": [f"train/cat/0.jpg (cat) {sign} train/dog/copy.jpg (dog)"]}


def test_a_picture_under_two_classes_in_two_splits_is_both(data, look):
    data("val/dog/copy.jpg", COPIES["re-encoded"])
    assert list(look()) == ["1 picture under two classes or more", NEAR]


def test_a_placeholder_is_named_once_however_often_it_is_there(data, look):
    for i in range(12):
        folder = ("train/cat", "train/dog", "val/cat", "test/dog")[i % 4]
        data(f"{folder}/none{i}.jpg", encoded(photo(7777), quality=50 + 20 * (i % 2)))
    assert look() == {
        "1 picture recurring 5 times or more": [
            "train/cat/none0.jpg (cat) looks like train/dog/none1.jpg (dog) and 10 more"
        ]
    }


def test_files_that_are_no_images_or_damaged(data, look):
    data("train/cat/text.jpg", b"no image")
    data("val/dog/cut.jpg", encoded(photo(1))[:-600])
    ((what, examples),) = look().items()
    assert what == "2 files cannot be read"
    assert [example.split(":")[0] for example in examples] == ["train/cat/text.jpg", "val/dog/cut.jpg"]


def test_classes_with_a_handful_of_images_and_with_none(data, look, tmp_path):
    for path in (tmp_path / "data/train/dog").glob("?.jpg"):
        path.unlink()
    for path in (tmp_path / "data/val/cat").glob("*.jpg"):
        path.unlink()
    assert look() == {
        "1 class without an image in a split": ["cat in val"],
        "1 class with less than 20 images in train": ["dog: 15"],
    }


def test_images_much_smaller_than_the_others(data, look):
    data("train/cat/icon.png", encoded(photo(5555).resize((16, 20)), "PNG"))
    assert look() == {
        "1 image with a side below 24 pixels, a quarter of the usual": ["train/cat/icon.png: 16 × 20"],
    }


def test_two_things_on_one_ground_are_two_pictures(data, look):
    ground = photo(3333)
    for name, seed in (("cat", 1), ("dog", 2)):
        ground.paste(photo(seed, (40, 40)), (28, 40))
        data(f"train/{name}/thing.png", encoded(ground, "PNG"))
    assert look() == {}


def test_almost_uniform_images_are_compared_by_their_bytes_alone(data, look):
    noise = np.random.default_rng(0).integers(0, 2, (64, 64, 3))
    for level in (20, 40, 255):
        data(f"train/cat/{level}.png", encoded(Image.fromarray((level - noise).astype(np.uint8)), "PNG"))
    assert look() == {}


def test_copies_are_found_however_far_apart_and_through_others(monkeypatch):
    thumbnails = np.stack([np.asarray(photo(i, (16, 16))).transpose(2, 0, 1) for i in range(60)])
    thumbnails[[33, 59]] = thumbnails[2]
    thumbnails[50] = thumbnails[49]
    expected = np.arange(60)
    expected[[33, 59]], expected[50] = 2, 49
    for block in (7, 128):
        monkeypatch.setattr(alike, "BLOCK", block)
        assert np.array_equal(alike.first_alike(thumbnails), expected)


def test_no_images_are_no_copies():
    assert alike.first_alike(np.zeros((0, 3, 16, 16), np.uint8)).tolist() == []


@pytest.mark.parametrize("limit, most", [("MAX_IMAGES", 50), ("MAX_PIXELS", 50 * 96 * 128)])
def test_beyond_a_limit_a_sample_is_decoded_unless_all_are_asked_for(data, look, monkeypatch, tmp_path, limit, most):
    data("test/cat/copy.jpg", encoded(photo(0)))  # equal bytes need no decoding
    for i in range(9):
        data(f"test/cat/text{i}.jpg", b"no image %d" % i)
    monkeypatch.setattr(survey_module, limit, most)
    found = survey(open_dataset(tmp_path / "data"))
    assert 35 < found.decoded < 85
    assert found.distinct == 159
    assert list(look()) == ["9 files cannot be read", "1 picture in two splits, equal bytes"]
    assert survey(open_dataset(tmp_path / "data"), everything=True).decoded == 159


def test_shards_tell_the_same_as_folders(data, tmp_path):
    import pack

    data("test/cat/copy.jpg", COPIES["half the size"])
    folders = survey(open_dataset(tmp_path / "data"))
    for split, name in pack.SPLIT_NAMES.items():
        pack.write_shards(open_dataset(tmp_path / "data").splits[split], tmp_path / "packed", name, ["cat", "dog"])
    assert pyarrow.parquet.read_metadata(next(Path(tmp_path, "packed").glob("train*"))).num_rows == 50
    shards = survey(open_dataset(tmp_path / "packed"))
    for split in ("train", "val", "test"):
        assert shards.counts(split).tolist() == folders.counts(split).tolist()
    assert shards.median_sides() == folders.median_sides() == (96, 128)
    assert len(set(shards.group)) == len(set(folders.group)) == 150
