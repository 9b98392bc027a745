"""The page that demo.ipynb shows: what is on it, and what happens when it is used."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Thread
from time import sleep

from classifier.errors import InputError, counted
from classifier.results.predictions import IMAGE, is_right, worst_mistakes
from notebooks import markup
from notebooks.answering import BASELINE, before, load_model
from notebooks.results import Results, load_results, modified

import ipywidgets as widgets
import numpy as np
import pandas as pd

CSS = Path(__file__).with_name("page.css")
EXAMPLES = 10
PORTION = 24  # images that the gallery shows at a time
FORMATS = "JPEG, PNG, WebP, GIF, BMP and TIFF images of up to 100 megapixels and 50 MB work."


def show() -> widgets.Widget:
    """The page, which follows the results: after a `dvc repro` it shows the new ones.

    Voilà runs it before anyone asks for it, to be quick; without following it would then show old results.
    """
    style = widgets.HTML(f"<style>{CSS.read_text()}</style>")
    shown = modified()
    page = widgets.VBox([style, *parts(load_results())])

    def follow() -> None:
        nonlocal shown
        while True:
            sleep(1)
            changed = modified()
            with suppress(InputError):  # not complete yet
                if changed not in (None, shown):
                    old, page.children = page.children[1:], [style, *parts(load_results())]
                    shown = changed
                    close(old)

    Thread(target=follow, daemon=True).start()
    return page.add_class("page")


def close(parts: Iterable[widgets.Widget]) -> None:
    """Let go of widgets, which ipywidgets keeps otherwise, and all images and the model with them."""
    for part in parts:
        close(getattr(part, "children", ()))
        part.close()


def parts(results: Results) -> list[widgets.Widget]:
    return [
        widgets.HTML(markup.introduction(results.classes)),
        question(results),
        widgets.HTML(markup.track_record(results.answers, results.split)),
        gallery(results),
        comparison(results),
    ]


def question(results: Results) -> widgets.Widget:
    """Upload an image or pick one; the model's answer appears beside it."""
    model = ThreadPoolExecutor(1).submit(load_model, results)  # takes seconds, in which one can already look around
    upload = widgets.FileUpload(accept="image/*", description="Choose an image file", icon="")
    answer = widgets.HTML("<p class='quiet'>The answer will appear here.</p>")

    def ask(image: bytes | np.ndarray, file: str, truth: str | None = None) -> None:
        try:
            pixels, probabilities = model.result()(image)
            answer.value = markup.answer(results.answers, results.split, pixels, probabilities, truth)
        except ValueError as error:
            answer.value = markup.apology(f"{file} cannot be shown to the model: {error}.", FORMATS)
        except InputError as error:
            answer.value = markup.apology(str(error))

    def show_upload(change: dict) -> None:
        for file in change["new"]:
            if file["size"] > len(file["content"]):  # what is too large, browsers keep to themselves: index.html.j2
                large = f"{file['name']} has {file['size'] / 1e6:,.0f} MB, which is too large."
                answer.value = markup.apology(large, FORMATS)
            else:
                ask(bytes(file["content"]), file["name"])
            upload.value = ()  # the same file may be chosen again

    def show_example(example: pd.Series) -> None:
        ask(results.images[example["index"]], example["path"], example["label"])

    upload.observe(show_upload, "value")
    buttons, rules, image = [], [], IMAGE[results.split]
    chosen = results.answers.groupby("label").nth(0).head(EXAMPLES)  # an image of each class
    for number, (_, example) in enumerate(chosen.iterrows(), 1):
        name = f"{image.capitalize()} {number}"
        button = widgets.Button(description=name, tooltip=name)
        button.add_class("example").add_class(f"example-{number}")
        button.on_click(lambda _, example=example: show_example(example))
        buttons.append(button)
        url = markup.data_url(results.images[example["index"]])
        rules.append(f".example-{number} {{ background-image: url({url}) !important }}")
    pick = widgets.HTML(f"<style>{' '.join(rules)}</style><p>or pick a {image}:</p>")
    choice = widgets.VBox([upload, pick, widgets.HBox(buttons).add_class("examples")])
    heading = widgets.HTML("<h2>Try it</h2>")
    return widgets.VBox([heading, widgets.HBox([choice.add_class("choice"), answer]).add_class("question")])


def gallery(results: Results) -> widgets.Widget:
    """The images with what the model takes them for, by class and by right or wrong."""
    label = widgets.Dropdown(options=[("all classes", None), *((c, c) for c in results.classes)], description="Show")
    kind = widgets.ToggleButtons(options=["all", "right", "wrong"])
    more, grid, note = widgets.Button(description="Show more"), widgets.HTML(), widgets.HTML()
    mixed, shown = results.answers.sample(frac=1, random_state=0), PORTION

    def choose() -> pd.DataFrame:
        answers = mixed[mixed["label"] == label.value] if label.value is not None else mixed
        if kind.value == "wrong":
            return worst_mistakes(answers, len(answers))
        return answers[is_right(answers)] if kind.value == "right" else answers

    def draw(count: int = PORTION) -> None:
        nonlocal shown
        answers, shown = choose(), count
        order = ", those it was most confident of first" if kind.value == "wrong" and len(answers) > 1 else ""
        text = (
            f"{min(count, len(answers))} of {counted(len(answers), 'image')}{order}"
            if len(answers)
            else "no such image"
        )
        grid.value = markup.gallery(answers.head(count), results.images, results.split)
        note.value = f"<p role='status' class='quiet'>{text}</p>"
        more.layout.display = None if count < len(answers) else "none"

    for control in (label, kind):
        control.observe(lambda _: draw(), "value")
    more.on_click(lambda _: draw(shown + PORTION))
    draw()
    heading = widgets.HTML("<h2>Right and wrong answers</h2>")
    return widgets.VBox([heading, widgets.HBox([label, kind]).add_class("filters"), note, grid, more])


def comparison(results: Results) -> widgets.Widget:
    """What has changed since the baseline; nothing if there is none, or nothing has changed."""
    part = widgets.HTML()

    def fill() -> None:
        try:
            answers = before()
        except InputError:
            return
        if not answers.equals(results.answers):
            part.value = markup.before_and_after(answers, results.answers, BASELINE)

    Thread(target=fill, daemon=True).start()
    return part
