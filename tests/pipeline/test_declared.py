"""A stage reads, writes and depends on what dvc.yaml declares, no more and no less."""

import shutil
from dataclasses import replace

from tests.clones import ROOT
from tests.pipeline.declared import Declared, record, run_alone, undeclared, unread

import pytest

pytestmark = pytest.mark.slow

STAGES = ("prepare", "weights", "train", "evaluate")

# Not read where train.pretrained is `none`, as here.
WITHOUT_WEIGHTS = {
    "weights": [
        "classifier/data/__init__.py",
        "classifier/data/names.py",
        *(f"classifier/network/{name}.py" for name in ("airbench", "checkpoint", "models", "network")),
        *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "classifier/network/sources").glob("*.py")),
    ],
    "train": ["pretrained/weights.safetensors"],
}

# A line in the first place of prepare.py's main(), and the problem that must be found.
MISDEEDS = {
    'open("README.md").close()': "reads README.md",
    'list(__import__("pathlib").Path("docs").iterdir())': "reads docs",
    "from classifier import reproducibility": "reads classifier/reproducibility.py",
    'open("notes.txt", "w").close()': "writes notes.txt",
    '__import__("os").rename("LICENSE", "COPYING")': "writes COPYING",
    'open("/dev/null").close()': "opens /dev/null",
    '__import__("os").environ.get("LANG")': "consults LANG",
    '__import__("os").system("true")': "starts os.system",
    '__import__("socket").socket().close()': "calls socket.__new__",
}


@pytest.fixture
def repository(finished, tmp_path):
    """A copy of the finished clone that a test may spoil."""
    return shutil.copytree(finished.path, tmp_path / "copy", ignore=shutil.ignore_patterns(".git", "cache"))


@pytest.fixture(scope="module", params=STAGES)
def recorded(request, finished, tmp_path_factory):
    """The name of a stage, what it declares and what it was seen to do."""
    folder = tmp_path_factory.mktemp("recorded")
    copy = shutil.copytree(finished.path, folder / "copy", ignore=shutil.ignore_patterns(".git", "cache"))
    params = copy / "params.yaml"
    augmented = "augment: {RandomGrayscale: {p: 0.5}}"  # only then does prepare.py import classifier/data/augment/
    params.write_text(params.read_text().replace("augment: {}", augmented, 1))
    stage = Declared.of(copy, request.param)
    return request.param, stage, record(copy, stage, folder)


def test_a_stage_touches_only_what_it_declares(recorded):
    _, stage, report = recorded
    assert undeclared(report, stage) == []


def test_a_stage_reads_every_dependency_that_it_declares(recorded):
    name, stage, report = recorded
    assert unread(report, stage) == WITHOUT_WEIGHTS.get(name, [])


def test_a_dependency_that_is_not_declared_is_noticed(recorded):
    name, stage, report = recorded
    for dep in stage.deps - set(WITHOUT_WEIGHTS.get(name, [])):
        problems = undeclared(report, replace(stage, deps=stage.deps - {dep}))
        assert problems
        assert all(problem.startswith(f"reads {dep}") for problem in problems)


def test_an_output_that_is_not_declared_is_noticed(recorded):
    _, stage, report = recorded
    for out in stage.outs:
        others = {path: md5 for path, md5 in stage.outs.items() if path != out}
        assert f"writes {out}" in undeclared(report, replace(stage, outs=others))


def test_a_superfluous_dependency_is_noticed(recorded):
    _, stage, report = recorded
    assert "README.md" in unread(report, replace(stage, deps=stage.deps | {"README.md"}))


def test_every_misdeed_of_a_stage_is_named(repository, tmp_path):
    script = repository / "prepare.py"
    start = "def main() -> None:\n"
    script.write_text(script.read_text().replace(start, start + "".join(f"    {line}\n" for line in MISDEEDS)))
    stage = Declared.of(repository, "prepare")
    problems = undeclared(record(repository, stage, tmp_path), stage)
    assert sorted(problems) == sorted([*MISDEEDS.values(), "writes LICENSE"])  # renamed from there


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_needs_nothing_but_its_dependencies_to_give_the_same_outputs(finished, tmp_path, name):
    assert run_alone(finished.path, Declared.of(finished.path, name), tmp_path) == []


def test_a_result_that_depends_on_whether_an_undeclared_file_exists_is_noticed(repository, tmp_path):
    script = repository / "evaluate.py"
    text = script.read_text()
    assert "CROSS_SECTION = 32" in text
    script.write_text(
        text.replace("CROSS_SECTION = 32", 'CROSS_SECTION = 32 if __import__("os").path.exists("README.md") else 24')
    )
    (tmp_path / "alone").mkdir()
    problems = run_alone(repository, Declared.of(repository, "evaluate"), tmp_path / "alone")
    assert "writes plots/predictions.png otherwise than dvc.lock says" in problems
