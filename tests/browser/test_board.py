"""board.html in a browser: sorted, filtered, two runs side by side, at the widths of a desk and of a phone."""

import contextlib
import json

from classifier.paths import PREDICTIONS
from classifier.results.significance import mcnemar
from classifier.runs.history import collect
from classifier.runs.report import describe_predictions
from tests.clones import once
from tests.experiments import CLASSES, Repository

import board
import pandas as pd
import pytest
from board_page.outputs import Outputs
from dvc.repo import Repo

pytestmark = pytest.mark.slow

EVIL = "</script><img src=x onerror=document.title=1>"
WIDTHS = [1280, 390]


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """A function: the board of a repository with so many runs, and its tables of answers by the name of the run."""

    def build(folder, runs, names):
        repository = Repository(folder / "repository", runs, names=names)
        with contextlib.chdir(repository.folder), Repo() as repo:
            records, notes = collect()
            outputs = Outputs(repo)
            (folder / "board.html").write_text(board.fill_page(*board.describe(records, notes, outputs, 400)))
            tables = {each.run.rev: outputs.find(each, PREDICTIONS).absolute() for each in records}
        (folder / "tables.json").write_text(json.dumps({name: str(path) for name, path in tables.items()}))

    def get(runs, names=CLASSES):
        name = f"board-{runs}-{'plain' if names == CLASSES else 'evil'}"
        folder = once(tmp_path_factory, name, lambda folder: build(folder, runs, names))
        tables = json.loads((folder / "tables.json").read_text())
        return folder / "board.html", lambda rev: pd.read_csv(tables[rev])

    return get


def open_board(page, path, width=1280):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path.as_uri())
    page.locator("body[data-ready]").wait_for(timeout=20_000)
    assert page.errors == []
    assert page.requested == [path.as_uri(), "data:,"] or page.requested == [path.as_uri()]


def column(page, title: str) -> list[str]:
    heads = [text.replace("\u200b", "") for text in page.locator("#table thead th").all_text_contents()]
    place = next(i for i, text in enumerate(heads) if text.startswith(title))
    return [
        row.locator("td, th").nth(place).evaluate("cell => cell.firstChild.textContent")
        for row in page.locator("#table tbody tr").all()
    ]


def sort_by(page, title: str) -> None:
    page.locator(f'#table thead button[data-key="{title}"]').click()


def choose(page, a: str, b: str) -> None:
    """Choose single runs by their names."""
    page.locator("#grouped").uncheck()
    page.locator("#filter").fill(a)
    page.locator("#table").get_by_label(f"{a} as A").check()
    page.locator("#filter").fill(b)
    page.locator("#table").get_by_label(f"{b} as B").check()
    page.locator("#filter").fill("")
    for side, name in (("a", a), ("b", b)):
        assert page.locator(f"#choose-{side} option:checked").text_content() == name


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("runs", [1, 7, 500])
def test_it_opens_and_fits_the_screen(page, boards, runs, width):
    path, _ = boards(runs)
    assert path.stat().st_size < 3e6
    open_board(page, path, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert f"{runs} run" in page.locator("#made").text_content()
    assert page.locator("#curves-charts svg").count() == 4
    for side in ("A", "B"):
        assert page.locator(f"#choose-{side.lower()} option:checked").count() == 1
    if runs == 1:
        assert "nothing to compare it with" in page.locator("#pair-result").text_content()
    assert page.locator("#heat-table tbody tr").count() == min(30, -(-runs // 3))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_click_on_a_head_sorts_and_another_turns_it_round(page, boards, width):
    open_board(page, boards(500)[0], width)
    page.locator("#more").click()
    sort_by(page, "test.accuracy")
    values = [float(text.split()[0]) for text in column(page, "test.accuracy")]
    assert len(values) == 167
    assert values == sorted(values, reverse=True)
    assert page.locator("#table th[aria-sort=descending]").text_content().replace("\u200b", "").startswith("test.acc")
    page.keyboard.press("Enter")  # the head keeps the focus
    values = [float(text.split()[0]) for text in column(page, "test.accuracy")]
    assert values == sorted(values)
    sort_by(page, "train.lr")
    assert column(page, "train.lr")[0] == "0.01"


def test_a_filter_takes_names_and_conditions(page, boards):
    open_board(page, boards(500)[0])
    page.locator("#filter").fill("lr>=0.24 model=resnet18 test.accuracy>0.5")
    assert set(column(page, "train.lr")) == {"0.24", "0.5"}
    assert set(column(page, "train.model")) == {"resnet18"}
    page.locator("#filter").fill("baseline")
    assert "baseline" in page.locator("#table tbody").text_content()
    page.locator("#filter").fill("nonesuch")
    assert page.locator("#shown").text_content() == "Nothing fits this filter."


def test_a_group_shows_its_seeds_and_every_parameter_is_a_click_away(page, boards):
    open_board(page, boards(7)[0])
    assert len(column(page, "run")) == 3
    page.get_by_label("3 seeds of main").click()
    assert len(column(page, "run")) == 6
    assert page.get_by_label("3 seeds of main").get_attribute("aria-expanded") == "true"
    assert page.locator('#table button[data-key="train.momentum"]').count() == 0
    page.get_by_label("all parameters").check()
    assert set(column(page, "train.momentum")) == {"0.6"}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("runs", [7, 500])
def test_two_runs_side_by_side_say_what_compare_says_and_show_the_images_that_changed(page, boards, runs, width):
    path, answers = boards(runs)
    open_board(page, path, width)
    choose(page, "main", "exp-005")
    a, b = answers("main"), answers("exp-005")
    found = {"split": "test", "images": len(a), **mcnemar(a, b)}
    assert page.locator("p.verdict").text_content() == describe_predictions(found, "main", "exp-005")
    changed = a[a["prediction"] != b["prediction"]]
    select = page.locator("#pair-result select")
    assert select.locator("option").first.text_content() == f"every change ({len(changed)})"
    page.get_by_text(f"Show all {len(changed)} images").click()
    cards = page.locator(".pictures li")
    told = {card.get_attribute("title"): card.locator("span.a").text_content() for card in cards.all()}
    expected = {
        row.path: f"A {'✓' if row.prediction == row.label else '✗'} {row.prediction}" for row in changed.itertuples()
    }
    assert told == expected
    select.select_option("gained")
    gained = changed[
        (changed["prediction"] != changed["label"]) & (b.loc[changed.index, "prediction"] == changed["label"])
    ]
    assert cards.count() == min(40, len(gained))
    picture = cards.first.locator("img")
    assert picture.evaluate("image => image.complete && image.naturalWidth") == 16


def test_curves_heat_map_and_parallel_coordinates_show_the_numbers_of_the_runs(page, boards):
    path, answers = boards(7)
    open_board(page, path)
    page.locator("#grouped").uncheck()
    table = answers("main")
    recall = (table["label"] == table["prediction"]).groupby(table["label"]).mean()
    row = page.locator("#heat-table tbody tr").first.locator("td")
    assert row.all_text_contents() == [f"{100 * recall[name]:.0f}" for name in CLASSES]
    assert page.locator("#curves-charts figure:first-child path.line:not(.pointed)").count() == 7
    lines = page.locator("#parallel-chart path.line:not(.pointed)")
    assert lines.count() == 7
    assert "flip" in page.locator("#parallel-chart svg").text_content()


def test_at_first_head_is_compared_with_the_baseline_or_else_the_best_with_head(page, tmp_path):
    Repository(tmp_path / "repository", 7)
    with contextlib.chdir(tmp_path / "repository"), Repo() as repo:
        data, answers = board.describe(*collect(), Outputs(repo), 0)
    path, pairs = tmp_path / "board.html", []
    for name in ("other", "baseline"):
        data["runs"][data["groups"][1]["runs"][0]]["names"].append(name)
        path.write_text(board.fill_page(data, answers))
        page.requested.clear()
        open_board(page, path)
        pairs.append([page.locator(f"#choose-{side}").input_value() for side in "ab"])
    accuracy = data["metrics"].index("val.accuracy")
    of = [data["runs"][group["runs"][0]]["metrics"][accuracy] for group in data["groups"]]
    means = [
        each["estimates"][accuracy][0] if each["estimates"] else one
        for each, one in zip(data["groups"], of, strict=True)
    ]
    assert pairs == [["g0", f"g{1 + means[1:].index(max(means[1:]))}"], ["g1", "g0"]]


def test_a_click_on_a_line_makes_it_b(page, boards):
    open_board(page, boards(7)[0])
    page.locator("#choose-b").select_option("g1")
    page.locator("#parallel-chart svg").scroll_into_view_if_needed()
    box = page.locator("#parallel-chart svg").bounding_box()
    points = page.locator("#parallel-chart path.line:not(.chosen):not(.pointed)").first.get_attribute("d")
    x, y = (float(number) for number in points.split("L")[-1].split())
    page.mouse.move(box["x"] + x - 1, box["y"] + y)
    assert "exp-" in page.locator("#parallel-chart .note").text_content()
    page.mouse.click(box["x"] + x - 1, box["y"] + y)
    assert page.locator("#choose-b").input_value() == "g2"


@pytest.mark.parametrize("width", WIDTHS)
def test_names_are_shown_as_they_are_and_never_run(page, boards, width):
    names = [EVIL, 'a "quoted" & <b>bold</b> ' + 15 * "long", "猫 é", "7"]
    open_board(page, boards(4, names)[0], width)
    assert page.title() == "All experiments"
    assert EVIL in page.locator("#heat-table thead").text_content()
    assert page.locator("b b, img[src=x]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_runs_there_is_a_sentence_and_nothing_else(page, boards):
    page.goto(boards(0)[0].as_uri())
    assert board.NO_RUNS in page.locator("#notes").text_content()
    assert page.locator("main").is_hidden()
    assert page.errors == []


def test_what_is_not_in_the_cache_is_said(page, tmp_path):
    Repository(tmp_path / "repository", 4, images=40, cached=False)
    with contextlib.chdir(tmp_path / "repository"), Repo() as repo:
        records, notes = collect()
        (tmp_path / "board.html").write_text(board.fill_page(*board.describe(records, notes, Outputs(repo), 9)))
    open_board(page, tmp_path / "board.html")
    choose(page, "main", "exp-003")
    error = "predictions.csv of main is not in DVC's cache."
    assert page.locator("p.verdict").text_content() == f"No test on single predictions: {error}"
    assert "is in DVC's cache" in page.locator("#curves-charts").text_content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_in_dark(page, boards, scheme):
    page.emulate_media(color_scheme=scheme)
    open_board(page, boards(7)[0])
    ratio = """([text, ground]) => {
        const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const luminance = (name) => {
            const own = name.startsWith("--");
            canvas.fillStyle = own ? getComputedStyle(document.documentElement).getPropertyValue(name) : name;
            canvas.fillRect(0, 0, 1, 1);
            const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
                .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const [x, y] = [luminance(text), luminance(ground)].sort((p, q) => q - p);
        return (x + 0.05) / (y + 0.05);
    }"""
    cells = page.locator("#heat-table td").evaluate_all(
        "all => all.map((cell) => [getComputedStyle(cell).color, getComputedStyle(cell).backgroundColor])"
    )
    assert {text for text, _ in cells} == {"rgb(0, 0, 0)", "rgb(255, 255, 255)"}
    assert min(page.evaluate(ratio, list(pair)) for pair in cells) >= 4.5
    for text in ("--text", "--soft", "--a", "--b"):
        for ground in ("--page", "--ground"):
            assert page.evaluate(ratio, [text, ground]) >= 4.5, (text, ground)
