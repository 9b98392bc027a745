"""What `make demo` shows is true of other seeds, and a search for a weight leads to a picture."""

import re

import pytest
from PIL import Image

pytestmark = pytest.mark.slow


def test_the_story_of_the_demo_holds_for_other_seeds(pipeline):
    said = pipeline.run("python", "bench/demo.py", "--seeds", "1", "2", "3")
    held = re.search(r"the story holds for (\d) of 3 seeds", said)
    assert held, said
    assert int(held[1]) >= 2, said


def test_a_search_queues_weights_and_draws_what_they_gave(own):
    before = (own.path / "params.yaml").read_text()
    own.edit("README.md", "# A", "# An uncommitted change: A")
    first = own.run("python", "scripts/reweight.py", "--class", "nine", "--search", "--seeds", "1")
    assert "queueing 4 trainings" in first  # HEAD has the fifth
    assert (own.path / "params.yaml").read_text() == before
    assert own.run("dvc", "queue", "status").count("Queued") == 4
    again = own.run("python", "scripts/reweight.py", "--class", "nine", "--search", "--seeds", "1")
    assert "queueing" not in again
    assert not (own.path / "class-weights.png").exists()
    own.run("dvc", "exp", "run", "--run-all")
    done = own.run("python", "scripts/reweight.py", "--class", "nine", "--search", "--seeds", "1")
    assert "queueing" not in done
    assert re.findall(r"^\| ([\d.]+) +\| 1 ", done, re.MULTILINE) == ["1", "1.5", "2", "3", "5"]
    with Image.open(own.path / "class-weights.png") as picture:
        assert min(picture.size) >= 400
    assert "class-weights.png" not in own.run("git", "status", "--porcelain")
