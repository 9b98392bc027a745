"""Every shell block of README.md and docs/tutorial.md runs as it stands, in order, and prints what the page says."""

import os
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, copy_tree
from .console import Shell, pattern, read_blocks

pytestmark = pytest.mark.slow


@pytest.fixture
def shell(tmp_path, small_dataset):
    """A shell in a scratch clone that has this environment, and a home with ~/my-images."""
    clone = copy_tree(tmp_path / "clone").path
    (clone / ".venv").symlink_to(Path(sys.prefix))
    for source in ("requirements.txt", "scripts/offline_plots.py"):
        os.utime(clone / source, (0, 0))  # so that make takes the environment for finished
    small_dataset(tmp_path / "home" / "my-images", train=40, test=10, size=32)
    people = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    settings = {
        "HOME": str(tmp_path / "home"),
        "PATH": f"{clone / '.venv' / 'bin'}:{os.environ['PATH']}",  # activated
        "COLUMNS": "120",
        "WANDB_MODE": "offline",
        "PYTEST_ADDOPTS": "--collect-only",  # `make test` runs this very test
    }
    shell = Shell(clone, os.environ | people | settings)
    yield shell
    shell.close()


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_every_command_of_the_page_works_and_prints_what_it_says(shell, page):
    blocks = read_blocks(ROOT / page)
    assert blocks
    for command in (command for block in blocks for command in block):
        output, status = shell.run(command.text)
        assert status == 0, f"{page}:{command.line}: `{command.text}` exits with {status}:\n{output}"
        assert pattern(command.output).search(output), f"{page}:{command.line}: `{command.text}` prints:\n{output}"
    print(f"{page}: {len(blocks)} blocks, {sum(map(len, blocks))} commands")


def test_a_page_that_says_something_else_is_noticed():
    """The patterns are not so loose that they match anything."""
    assert pattern("val: accuracy 98.61%, worst class eight").search("…\nval: accuracy 97.1%,  worst class one with")
    for other in ("test: accuracy 98.61%, worst class eight", "val: accuracy high, worst class eight"):
        assert not pattern("val: accuracy 98.61%, worst class eight").search(other)
    assert pattern("Stage 'train' … skipping\n…\nDone").search("Stage 'train' didn't change, skipping\na\nb\nDone")
    assert not pattern("Stage 'train' … skipping\n…\nDone").search("Stage 'train' didn't change, skipping\n")
