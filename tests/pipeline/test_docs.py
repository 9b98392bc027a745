"""Every shell block of README.md and docs/tutorial.md runs as it stands, in order, and prints what the page says."""

import os
import re
import sys
from pathlib import Path

from tests.clones import ROOT, copy_tree, shrink_photos

import pytest

from .console import Shell, pattern, read_blocks

pytestmark = pytest.mark.slow


@pytest.fixture
def clone(tmp_path, small_dataset):
    """A scratch clone that has this environment, and a home with ~/my-images."""
    if not (Path(sys.prefix) / "ready").exists():
        pytest.skip("the tests do not run in an environment that `make setup` made, which the pages begin with")
    clone = copy_tree(tmp_path / "clone")
    link_environment(clone.path / ".venv")
    for source in ("requirements.txt", "scripts/offline_plots.py"):
        os.utime(clone.path / source, (0, 0))  # so that make takes the environment for finished
    shrink_photos(clone)
    mislabel(small_dataset(tmp_path / "home" / "my-images", train=40, test=10, size=32) / "train")
    clone.environment |= {
        "HOME": str(tmp_path / "home"),
        "COLUMNS": "120",
        "WANDB_MODE": "offline",
        "PYTEST_ADDOPTS": "--collect-only",  # `make test` runs this very test
    }
    return clone


def mislabel(folder: Path) -> None:
    """Move half of the images of a class to another, which so becomes the worst: where all are equal, none is."""
    first, second = sorted(folder.iterdir())[:2]
    for path in sorted(first.iterdir())[::2]:
        path.rename(second / f"not-{path.name}")


def link_environment(target: Path) -> None:
    """Link to all of this environment, but for what is forked from the warm process.

    After `source .venv/bin/activate`, which has the real path in it, what is typed starts as usual.
    """
    (target / "bin").mkdir(parents=True)
    warm = os.environ.get("WARM_PROGRAMS")
    programs = [*(Path(warm).iterdir() if warm else ()), *Path(sys.prefix, "bin").iterdir()]
    for path in [*programs, *Path(sys.prefix).iterdir()]:
        link = target / ("bin" if path in programs else "") / path.name
        if not link.exists():
            link.symlink_to(path)


@pytest.fixture
def shell(clone):
    """A shell in the clone."""
    shell = Shell(clone)
    yield shell
    shell.close()


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_every_command_of_the_page_works_and_prints_what_it_says(clone, shell, page):
    blocks = read_blocks(ROOT / page)
    assert blocks
    for command in (command for block in blocks for command in block):
        output, status = shell.run(command.text)
        assert status == 0, f"{page}:{command.line}: `{command.text}` exits with {status}:\n{output}"
        assert "Failed to reproduce" not in output, output  # with which a queue ends well
        assert pattern(command.output).search(output), f"{page}:{command.line}: `{command.text}` prints:\n{output}"
        if command.text.startswith("make demo"):
            check_demo(output, clone.path / "demo")
    print(f"{page}: {len(blocks)} blocks, {sum(map(len, blocks))} commands")


def check_demo(output: str, demo: Path) -> None:
    """`make demo` improves a class by more than chance, shows every step of it, and ends with what it cost."""
    again = output.split("$ dvc repro")[2]
    assert "Stage 'prepare' didn't change, skipping" in again
    assert "Running stage 'train'" in again
    assert "Running stage 'evaluate'" in again
    assert "eight is worst by more than chance" in " ".join(output.split())
    assert "train.class_weights" in output.split("$ dvc params diff baseline")[1]
    paragraph = " ".join(output.split("--class eight")[-1].split())  # last, so that nothing buries it
    gain = r"Of 52 test images of eight, \d+ are recognised instead of \d+ .* is more than chance: .*"
    assert re.fullmatch(f"{gain} of other classes, .* only several seeds can tell\\.", paragraph)
    assert "note: only" not in output
    assert (demo / "dvc_plots" / "index.html").exists()
    assert "A       models/classifier.safetensors" in output.split("$ dvc pull")[1]
    header, first, second = output.split("$ python scripts/predict.py")[1].splitlines()[1:4]
    assert header.split() == ["path", "class", "confidence", "runner-ups"]
    assert first.startswith("../data/test/eight/1383.png")
    assert second.startswith("../data/test/two/")
    model = (demo / "models" / "classifier.safetensors").read_bytes()
    assert (demo / "colleague" / "models" / "classifier.safetensors").read_bytes() == model


def test_a_page_that_says_something_else_is_noticed():
    """The patterns are not so loose that they match anything."""
    assert pattern("val: accuracy 98.61%, worst class eight").search("…\nval: accuracy 97.1%,  worst class one with")
    for other in ("test: accuracy 98.61%, worst class eight", "val: accuracy high, worst class eight"):
        assert not pattern("val: accuracy 98.61%, worst class eight").search(other)
    assert pattern("Stage 'train' … skipping\n…\nDone").search("Stage 'train' didn't change, skipping\na\nb\nDone")
    assert not pattern("Stage 'train' … skipping\n…\nDone").search("Stage 'train' didn't change, skipping\n")
