"""The notebooks are committed as they were written: without outputs and without traces of a machine."""

from tests.conftest import ROOT

import nbformat
import pytest

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, 4)


def test_there_are_four():
    assert [path.stem for path in NOTEBOOKS] == ["demo", "explore", "mistakes", "predictions"]


def test_it_has_no_outputs(notebook):
    ran = [cell.id for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]
    assert ran == [], "`make clear-notebooks` removes outputs"


def test_it_names_no_machine(notebook):
    assert set(notebook.metadata) <= {"kernelspec", "title"}, "`make clear-notebooks` removes the rest"
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    assert not any(cell.metadata for cell in notebook.cells)
