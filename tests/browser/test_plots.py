"""What `dvc plots` draws, in a browser: the values that people read are those of the results."""

import re
import shutil
from pathlib import Path

from classifier.files import write_table
from classifier.results.metrics import confusion, per_class, reliability
from tests.clones import Clone, copy_clone, once

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LOSS, RECALL, MATRIX, MISTAKES, RELIABILITY = (
    f"#{name}" for name in ("Loss", "Recall_per_class", "Confusion_matrix", "Mistakes", "Reliability")
)
NUMBERS, LEGEND = ".mark-text.role-mark text", ".role-legend-label text"
Y_LABELS = "[aria-label^='Y-axis'] .role-axis-label text"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawn(versions, tmp_path_factory) -> Clone:
    """A clone with the page of two versions in diff/, and that of one in show/. No test may change it."""

    def build(folder: Path) -> None:
        clone = copy_clone(versions, folder)
        clone.run("python", "scripts/offline_plots.py", "plots.html")
        clone.run("dvc", "plots", "diff", "baseline", "weighted", "--out", "diff")
        clone.run("dvc", "plots", "show", "--out", "show")

    return Clone(once(tmp_path_factory, "drawn", build) / "clone")


@pytest.fixture(params=[1280, 390])
def two(request, drawn, page):
    """The page of two versions, on a screen and on a phone."""
    page.set_viewport_size({"width": request.param, "height": 900})
    open_page(page, drawn.path / "diff" / "index.html")
    yield page
    assert page.errors == []


def open_page(page, file: Path) -> None:
    page.goto(file.as_uri())
    page.wait_for_function("document.querySelectorAll('svg.marks').length == 6", timeout=10_000)


def texts(page, chart: str, selector: str) -> list[str]:
    return [text for text in page.locator(f"{chart} {selector}").all_text_contents() if text]


def plots_of(clone: Clone, name: str, folder: Path) -> list[pd.DataFrame]:
    """A table of plots/, of both versions in the order in which the page has them."""
    tables = []
    for version in ("baseline", "weighted"):
        path = folder / f"{version}-{name}"
        clone.run("dvc", "get", ".", f"plots/{name}", "--rev", version, "--out", str(path))
        tables.append(pd.read_csv(path))
    return tables


def test_the_bars_of_recall_say_how_many_of_how_many_in_the_order_of_the_digits(two, drawn, tmp_path):
    tables = plots_of(drawn, "per_class.csv", tmp_path)
    expected = [f"{row.recall:.1%} of {row.images}" for table in tables for row in table.itertuples()]
    assert sorted(texts(two, RECALL, NUMBERS)) == sorted(expected)
    assert texts(two, RECALL, Y_LABELS) == DIGITS
    assert two.locator(f"{RECALL} .mark-rule.role-mark line").count() == len(expected)  # the intervals


def test_the_cells_of_the_confusion_matrix_hold_the_numbers_of_images(two, drawn, tmp_path):
    expected = [str(number) for table in plots_of(drawn, "confusion.csv", tmp_path) for number in table["images"]]
    assert sorted(texts(two, MATRIX, NUMBERS)) == sorted(expected)
    assert texts(two, MATRIX, Y_LABELS) == DIGITS


def test_the_mistakes_are_listed_by_number(two, drawn, tmp_path):
    wrong = pd.concat(plots_of(drawn, "confusion.csv", tmp_path)).query("label != prediction")
    worst = wrong.sort_values("images").iloc[-1]
    first = two.locator(f"{MISTAKES} {Y_LABELS}").first.text_content()
    assert f"{worst['images']} ({worst['share']:.1%})" in texts(two, MISTAKES, NUMBERS)
    assert first.split("→")[0].strip() in set(wrong.loc[wrong["images"] == worst["images"], "label"])


def test_each_bin_of_confidence_has_its_count_and_empty_ones_have_no_row(two, drawn, tmp_path):
    tables = plots_of(drawn, "reliability.csv", tmp_path)
    expected = [f"{row.accuracy:.1%} of {row.count}" for table in tables for row in table.itertuples(index=False)]
    assert sorted(texts(two, RELIABILITY, NUMBERS)) == sorted(expected)
    assert set(texts(two, RELIABILITY, Y_LABELS)) == {name for table in tables for name in table["bin"]}


def test_the_axis_has_whole_epochs_and_the_legends_plain_words(two):
    labels = [text for text in texts(two, LOSS, ".role-axis-label text") if "." not in text]
    assert labels == ["1", "2"]
    assert texts(two, LOSS, LEGEND) == ["baseline", "weighted", "training", "validation"]
    assert "train_loss" not in two.locator("body").inner_text()


def test_the_page_needs_no_network_and_is_no_wider_than_the_screen(two):
    assert [url for url in two.requested if not re.match("file:|blob:|data:", url)] == []
    assert two.evaluate("document.documentElement.scrollWidth") <= two.viewport_size["width"]


def test_a_single_version_is_drawn_too(drawn, page):
    open_page(page, drawn.path / "show" / "index.html")
    assert texts(page, RECALL, Y_LABELS) == DIGITS
    assert texts(page, LOSS, LEGEND) == ["workspace", "training", "validation"]


@pytest.mark.parametrize("count", [30, 31])
def test_a_matrix_of_many_classes_has_small_cells_without_numbers(drawn, page, tmp_path, count):
    random, classes = np.random.default_rng(0), [f"class number {i}" for i in range(count)]
    labels, probabilities = np.arange(count * 5) % count, random.dirichlet(np.full(count, 0.1), count * 5)
    clone = Clone(tmp_path)
    clone.run("git", "init", "--quiet")
    clone.run("dvc", "init", "--quiet")
    shutil.copytree(ROOT / ".dvc" / "plots", tmp_path / ".dvc" / "plots")
    declared = (ROOT / "dvc.yaml").read_text()
    (tmp_path / "dvc.yaml").write_text(re.search(r"(?ms)^plots:.*?(?=^  - plots/)", declared)[0])
    (tmp_path / "plots").mkdir()
    shutil.copy(drawn.path / "plots" / "history.csv", tmp_path / "plots")
    for name, rows in {
        "per_class": per_class(probabilities, labels, classes),
        "confusion": confusion(probabilities, labels, classes),
        "reliability": reliability(probabilities, labels),
    }.items():
        write_table(tmp_path / "plots" / f"{name}.csv", rows)
    clone.run("dvc", "plots", "show", "--html-template", str(drawn.path / "plots.html"), "--out", "drawn")
    open_page(page, tmp_path / "drawn" / "index.html")
    assert bool(texts(page, MATRIX, NUMBERS)) == (count == 30)
    assert texts(page, MATRIX, Y_LABELS) == classes  # class number 2 before class number 10
    assert len(texts(page, MISTAKES, NUMBERS)) == 15
