"""classifier/ is a house with wings: imports point from wing to wing in one direction, without a circle."""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter

from tests.conftest import ROOT

import pytest

PACKAGE = ROOT / "classifier"
# What the modules of a wing may import beside each other. The ground is the modules directly in classifier/.
BELOW = {
    "ground": set(),
    "data": {"ground"},
    "network": {"ground", "data"},
    "training": {"ground", "data", "network"},
    "results": {"ground", "data"},
    "runs": {"ground", "data", "results"},
    "tracking": {"ground", "data", "results"},
}


def wing(module: str) -> str:
    """The wing of classifier.data.images is data, that of classifier.errors the ground."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else "ground"


@cache
def house() -> dict[str, set[str]]:
    """What each module of the package imports of the repository, anywhere in it, also inside functions."""
    files = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    others = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
    imports: dict[str, set[str]] = {}
    for name, path in files.items():
        imports[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                found = [each if each in files else node.module for each in inner]
            else:
                continue
            imports[name] |= {each for each in found if each.partition(".")[0] in others}
    return imports


def test_every_wing_has_a_place_in_the_order():
    assert {wing(module) for module in house()} == set(BELOW)


@pytest.mark.parametrize("name", BELOW)
def test_a_wing_imports_only_what_is_below_it(name):
    allowed = BELOW[name] | {name}
    modules = {module: imported for module, imported in house().items() if wing(module) == name}
    assert modules
    wrong = {
        (module, other)
        for module, imported in modules.items()
        for other in imported
        if not other.startswith("classifier") or wing(other) not in allowed
    }
    assert wrong == set()


def test_no_modules_import_each_other_in_a_circle():
    try:
        order = list(TopologicalSorter(house()).static_order())
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))
    assert order.index("classifier.errors") < order.index("classifier.training.loop")


# docs/architecture.md


def rows() -> list[tuple[str, list[str]]]:
    """What a reader may want to change, and where the page says to look."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.split("| I want to change")[1].split("\n\n")[0]
    lines = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    return [(wish.strip(), re.findall("`(.+?)`", places)) for wish, places in lines]


def test_the_page_says_of_many_things_where_to_look():
    assert len(rows()) >= 20
    assert [wish for wish, places in rows() if not places] == []


@pytest.mark.parametrize("wish, places", rows(), ids=lambda value: value if isinstance(value, str) else "")
def test_where_the_page_says_to_look_there_is_something(wish, places):
    """A place is a path, which may be followed by the name of what stands in it: `train.py: main`."""
    for place in places:
        path, _, name = place.partition(": ")
        assert (ROOT / path).exists(), path
        if name:
            assert re.search(rf"(?m)^ *(def|class) {re.escape(name)}\b", (ROOT / path).read_text()), place


def test_the_page_explains_every_wing():
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert [name for name in BELOW if name != "ground" and f"`classifier/{name}/`" not in page] == []
