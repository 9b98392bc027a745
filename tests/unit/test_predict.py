"""scripts/predict.py: a checkpoint and images are enough, and a bad image does not keep the others from an answer."""

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import evaluate
import prepare
import train
from classifier.config import EvaluateParams
from classifier.data.images import decode
from classifier.errors import InputError
from classifier.network import predictor
from classifier.network.predictor import Predictor
from tests.conftest import COLOURS, ROOT
from tests.unit.test_checkpoint import Canary

import numpy as np
import pandas as pd
import predict
import pytest
from PIL import Image

CHECKPOINT = "models/classifier.safetensors"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("predict")


@pytest.fixture
def trained(shared, workspace, small_dataset, params):
    """A folder with a dataset and a checkpoint trained on it, which knows the classes by their colours."""
    if not any(shared.iterdir()):
        small_dataset(train=16)
        Path("params.yaml").write_text(params({"train.epochs": 12}))
        prepare.main()
        train.main()
        shutil.copytree(workspace, shared, dirs_exist_ok=True)
    shutil.copytree(shared, workspace, dirs_exist_ok=True)
    return workspace


@pytest.fixture
def ask(trained, monkeypatch, capsys):
    """A function: run predict.py in that folder; returns what it printed on standard output."""

    def run(*arguments, checkpoint=CHECKPOINT):
        monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, (checkpoint, *arguments))])
        capsys.readouterr()
        predict.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def answers(ask):
    """A function: the list of JSON objects for some images."""
    return lambda *arguments: json.loads(ask("--json", *arguments))


def paint(name: str, width: int = 16, height: int = 16) -> Image.Image:
    """A picture in the colour of a class, of which no two parts are alike."""
    noise = np.random.default_rng(1).integers(-30, 30, (height, width, 3))
    return Image.fromarray((np.array(COLOURS[name]) + noise).clip(0, 255).astype(np.uint8))


def rotated_by_exif() -> tuple[Image.Image, dict]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return paint("cat").transpose(Image.Transpose.ROTATE_90), {"exif": exif}


def half_transparent() -> Image.Image:
    picture = paint("cat")
    picture.putalpha(128)
    return picture


def on_white(picture: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


GRAY = np.arange(256, dtype=np.uint16).reshape(16, 16)

# A picture in an unusual form, how to save it, and the plain RGB picture that shows the same.
UNUSUAL = {
    "cmyk.tif": (paint("cat").convert("CMYK"), {}, paint("cat").convert("CMYK").convert("RGB")),
    "palette.png": (paint("frog").quantize(16), {}, paint("frog").quantize(16).convert("RGB")),
    "alpha.png": (half_transparent(), {}, on_white(half_transparent()).convert("RGB")),
    "sixteen bits.png": (Image.fromarray(GRAY * 257), {}, Image.fromarray(GRAY.astype(np.uint8)).convert("RGB")),
    "gray.png": (paint("dog").convert("L"), {}, paint("dog").convert("L").convert("RGB")),
    "rotated by EXIF.png": (*rotated_by_exif(), paint("cat")),
}


def test_every_image_gets_its_path_class_and_confidence_in_aligned_columns(ask):
    header, *rows = ask("data/test").splitlines()
    assert header.split() == ["path", "class", "confidence"]
    assert [row.split()[0] for row in rows] == [f"data/test/{name}/{i:03}.png" for name in COLOURS for i in range(4)]
    assert [row.split()[1] for row in rows] == [name for name in COLOURS for _ in range(4)]
    assert {row[header.index("class") - 1] for row in rows} == {" "}
    assert {len(row) for row in [header, *rows]} == {len(header)}


@pytest.mark.parametrize("tta", get_args(EvaluateParams.__annotations__["tta"]))
def test_the_probabilities_of_test_images_are_those_of_predictions_csv(trained, answers, params, tta):
    Path("params.yaml").write_text(params({"evaluate.tta": tta}))
    evaluate.main()
    expected = pd.read_csv("predictions.csv")
    found = answers("data/test", "--tta", tta, "--precision", "auto")
    assert [answer["path"] for answer in found] == ("data/" + expected["path"]).tolist()
    assert [answer["prediction"] for answer in found] == expected["prediction"].tolist()
    assert [answer["confidence"] for answer in found] == expected["confidence"].tolist()
    assert [answer["probabilities"] for answer in found] == expected[list(COLOURS)].to_dict("records")


def test_unless_told_otherwise_it_computes_alike_on_every_machine(answers):
    images = np.stack([decode(path.read_bytes(), 16) for path in sorted(Path("data/test").rglob("*.png"))])
    expected = Predictor(CHECKPOINT, precision="fp32")(images)
    found = [list(answer["probabilities"].values()) for answer in answers("data/test")]
    assert np.allclose(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_image_gets_the_answer_of_its_plain_form(answers, name):
    picture, options, plain = UNUSUAL[name]
    picture.save(name, **options)
    plain.save("plain.png")
    unusual, usual = answers(name, "plain.png")
    assert unusual["probabilities"] == usual["probabilities"]


@pytest.mark.parametrize(("width", "height"), [(16, 16), (200, 90), (31, 300), (3, 1)])
def test_images_of_any_size_are_answered(answers, width, height):
    paint("dog", width, height).save("dog.png")
    assert answers("dog.png")[0]["prediction"] == "dog"


def test_folders_are_searched_for_images_in_a_fixed_order(answers):
    for name in ("album/b/2.png", "album/b/10.PNG", "album/a.png", "album/.hidden/x.png", "album/._a.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        paint("cat").save(name)
    Path("album/notes.txt").write_text("no image")
    paint("dog").save("dog.png")
    found = [answer["path"] for answer in answers("dog.png", "album", "dog.png")]
    assert found == ["dog.png", "album/a.png", "album/b/10.PNG", "album/b/2.png", "dog.png"]


def test_top_adds_the_next_classes(ask, answers):
    [whole], [top] = answers("data/test/cat/000.png"), answers("data/test/cat/000.png", "--top", 2)
    ranking = sorted(whole["probabilities"].items(), key=lambda item: -item[1])
    assert top["top"] == [{"class": name, "probability": value} for name, value in ranking[:2]]
    assert "probabilities" not in top
    assert (top["prediction"], top["confidence"]) == (whole["prediction"], whole["confidence"]) == ranking[0]
    header, row = ask("data/test/cat/000.png", "--top", 2).splitlines()
    assert header.split()[3:] == ["runner-ups"]
    assert row.split()[1::2] == [name for name, _ in ranking[:2]]


@pytest.mark.parametrize("top", [0, -1, 4])
def test_a_number_of_classes_out_of_range_is_refused(ask, top):
    with pytest.raises(InputError, match=f"--top must be between 1 and 3, the number of classes, not {top}"):
        ask("data/test", "--top", top)


def test_bad_images_are_named_with_the_reason_and_the_good_ones_answered(trained, answers, monkeypatch, capsys):
    whole = Path("data/test/dog/001.png").read_bytes()
    for name, content in {"cut": whole[:100], "empty": b"", "text": b"hello"}.items():
        Path(f"data/test/dog/{name}.png").write_bytes(content)
    monkeypatch.setattr(predict, "BATCH_SIZE", 5)
    with pytest.raises(InputError, match=r"3 of 15 image\(s\) cannot be used"):
        answers("data/test")
    printed = capsys.readouterr()
    good = [path.as_posix() for path in sorted(Path("data/test").rglob("0*.png"))]
    assert [answer["path"] for answer in json.loads(printed.out)] == good
    said = dict(line.split(": ", 1) for line in printed.err.splitlines())
    assert "damaged" in said["data/test/dog/cut.png"]
    assert said["data/test/dog/empty.png"] == "the file is empty"
    assert "not an image" in said["data/test/dog/text.png"]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path), lambda path: path.symlink_to("gone")])
def test_what_is_no_file_is_named_at_once_and_the_others_answered(answers, capsys, make):
    make(Path("data/test/dog/pipe.png"))
    with pytest.raises(InputError, match=r"1 of 13 image\(s\) cannot be used"):
        answers("data/test")
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)) == 12
    assert re.match(r"data/test/dog/pipe\.png: (is a pipe|cannot be read: Too many|No such file)", printed.err)


def test_a_pipe_as_checkpoint_is_refused_at_once(ask):
    os.mkfifo("pipe.safetensors")
    with pytest.raises(InputError, match="is a pipe, and must be a file"):
        ask("data/test", checkpoint="pipe.safetensors")


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"a\nb.png", b"a\tb.png", b"\x1b[2J.png", b"y" * 251 + b".png"])
def test_an_image_of_any_name_is_answered_in_a_row_of_its_own(ask, answers, name):
    path = Path(os.fsdecode(name))
    paint("dog").save(path)
    _, row = ask(path).splitlines()
    assert row.isprintable()
    assert row.split()[-2] == "dog"
    assert answers(path)[0]["path"] == str(path)


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "a\0b.png", "data/test/cat/000.png/x.png"])
def test_a_name_that_no_file_can_have_is_not_found(ask, name):
    with pytest.raises(InputError, match=r"^not found: "):
        ask(name)


def test_nothing_but_bad_images_is_an_empty_list(ask, capsys):
    Path("text.png").write_text("hello")
    with pytest.raises(InputError, match=r"1 of 1 image\(s\)"):
        ask("--json", "text.png")
    assert json.loads(capsys.readouterr().out) == []


def test_many_images_are_held_in_memory_a_batch_at_a_time(answers, monkeypatch):
    held, predict_logits = [], predictor.predict_logits

    def note(network, batches, *rest):
        batches = list(batches)
        held.append(sum(map(len, batches)))
        return predict_logits(network, batches, *rest)

    monkeypatch.setattr(predictor, "predict_logits", note)
    expected = answers("data/test")
    monkeypatch.setattr(predict, "BATCH_SIZE", 5)
    found = answers("data/test")
    assert max(held[1:]) <= 5
    assert [answer["path"] for answer in found] == [answer["path"] for answer in expected]
    for answer, other in zip(found, expected, strict=True):
        assert answer["probabilities"] == pytest.approx(other["probabilities"], abs=0.01)


def test_what_does_not_exist_and_folders_without_images_are_named(ask):
    with pytest.raises(InputError, match=r"not found: nonesuch\.png, nowhere\."):
        ask("nonesuch.png", "data/test/cat/000.png", "nowhere")
    Path("album").mkdir()
    Path("album/notes.txt").write_text("no image")
    with pytest.raises(InputError, match="album/ holds no images"):
        ask("data/test/cat/000.png", "album")


def test_an_unknown_option_is_named(ask, capsys):
    with pytest.raises(SystemExit) as exit:
        ask("data/test", "--tpo", 2)
    assert exit.value.code == 2
    assert "unrecognized arguments: --tpo" in capsys.readouterr().err


def test_a_pickle_as_checkpoint_is_refused_and_its_code_not_run(ask):
    Path("model.pt").write_bytes(pickle.dumps({"model": Canary("canary")}))
    with pytest.raises(InputError, match="not a readable safetensors file"):
        ask("data/test", checkpoint="model.pt")
    assert not Path("canary").exists()


def test_a_damaged_checkpoint_is_refused(ask):
    data = bytearray(Path(CHECKPOINT).read_bytes())
    data[-5] ^= 4
    Path(CHECKPOINT).write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        ask("data/test")


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen:
    """Start predict.py; standard error then also has a line for each module that is imported."""
    command = [sys.executable, "-X", "importtime", ROOT / "scripts" / "predict.py", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    return subprocess.Popen(command, cwd=folder, env=os.environ | environment, **pipes)


def test_the_checkpoint_alone_is_enough_in_any_folder_and_locale_without_slow_imports(trained, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(trained / CHECKPOINT, elsewhere / "classifier.safetensors")
    paint("frog").save(elsewhere / "grenouille verte à l'été.png")
    with start(elsewhere, "classifier.safetensors", ".", "--json", PYTHONIOENCODING="ascii") as process:
        printed, log = process.communicate()
    assert process.returncode == 0, log
    [answer] = json.loads(printed)
    assert (answer["path"], answer["prediction"]) == ("grenouille verte à l'été.png", "frog")
    assert sorted(path.suffix for path in elsewhere.iterdir()) == [".png", ".safetensors"]
    imported = {line.split("|")[-1].strip() for line in log.splitlines()}
    assert "torch" in imported
    assert not imported & {"matplotlib", "pandas", "sklearn", "torchvision", "wandb"}


def test_a_reader_that_goes_away_ends_it_quietly(trained):
    with start(trained, CHECKPOINT, "data") as process:
        process.stdout.close()
        log = process.stderr.read()
    assert process.returncode == -signal.SIGPIPE
    assert "Traceback" not in log


def test_an_address_is_answered_with_what_can_be_read(ask):
    with pytest.raises(InputError, match=r"^https://example\.org/cat\.jpg: this reads no addresses, only files and"):
        ask("https://example.org/cat.jpg")
