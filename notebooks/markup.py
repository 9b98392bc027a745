"""The page's HTML: tables, pictures and answers. Whatever comes from outside is escaped here."""

import base64
import io
from collections.abc import Iterable
from html import escape

from classifier.data.rows import Rows
from classifier.results import story
from classifier.results.predictions import IMAGE, count_right, is_right

import numpy as np
import pandas as pd
from PIL import Image

BARS = 5  # classes in an answer
ROWS = 12  # classes in a table; the others unfold


def introduction(classes: list[str]) -> str:
    return f"<h1>What does the classifier see?</h1><p class='lead'>{escape(story.what_it_cannot_do(classes))}</p>"


def answer(
    answers: pd.DataFrame, split: str, pixels: np.ndarray, probabilities: pd.Series, truth: str | None = None
) -> str:
    """What the model says of an image and how sure it is; right or wrong where the truth is known."""
    best, size = probabilities.idxmax(), pixels.shape[-1]
    word, counted = story.certainty(answers, probabilities.max(), split)
    known = ""
    if truth is not None:
        known = f"<p class='right'>✓ It is {escape(truth)}.</p>" if best == truth else wrong(truth)
    rows = [row(n, bar(p), f"{p:.0%}") for n, p in probabilities.nlargest(BARS).items()]
    return (
        f"<div role='status' class='answer'><figure>{picture(pixels, 'the image as the model sees it')}"
        f"<figcaption>as the model sees it: {size} × {size} pixels</figcaption></figure>"
        f"<div><p class='big'>{escape(best)}</p>{known}<p><b>{word.capitalize()}.</b> {counted}</p></div>"
        f"{table('How it weighs the possibilities', rows)}</div>"
    )


def wrong(truth: str) -> str:
    return f"<p class='wrong'>✗ In fact it is {escape(truth)}.</p>"


def apology(sentence: str, hint: str = "") -> str:
    return f"<div role='alert' class='apology'><p><b>Sorry:</b> {escape(sentence)}</p><p>{hint}</p></div>"


def track_record(answers: pd.DataFrame, split: str) -> str:
    """How good it is, in sentences and with a bar for each class, the hardest first."""
    classes = count_right(answers).sort_values("recall", kind="stable")
    rows = [row(c.Index, bar(c.recall), f"{c.right} of {c.images}") for c in classes.itertuples()]
    return f"<h2>How good is it?</h2>{sentences(story.summary(answers, split).values())}" + table(
        "Right answers per class", rows
    )


def before_and_after(before: pd.DataFrame, after: pd.DataFrame, rev: str) -> str:
    """What has changed since a revision, the classes with the largest differences first."""
    totals = [f"{is_right(answers).sum():,} of {len(answers):,}" for answers in (before, after)]
    said = [f"Right at {rev}: {totals[0]}. Right now: {totals[1]}.", *story.changes(before, after)]
    classes = count_right(before).join(count_right(after).add_suffix("_now"), how="inner")
    order = (classes["recall_now"] - classes["recall"]).abs().sort_values(ascending=False, kind="stable").index
    rows = [
        row(c.Index, bar(c.recall, "before") + bar(c.recall_now), f"{c.right} → {c.right_now} of {c.images_now}")
        for c in classes.loc[order].itertuples()
    ]
    caption = f"Right answers per class at {escape(rev)} (grey) and now (blue)"
    return f"<h2>Since {escape(rev)}</h2>{sentences(said)}{table(caption, rows)}"


def gallery(answers: pd.DataFrame, images: np.ndarray | Rows, split: str) -> str:
    return f"<div class='gallery'>{''.join(figure(images[a['index']], a, split) for _, a in answers.iterrows())}</div>"


def figure(pixels: np.ndarray, said: pd.Series, split: str) -> str:
    label, prediction = said["label"], said["prediction"]
    right = label == prediction
    text = f"✓ {escape(label)}" if right else f"✗ {escape(prediction)}<br>is {escape(label)}"
    image = picture(pixels, f"{IMAGE[split]} {said['index']}")
    return f"<figure class='{'right' if right else 'wrong'}'>{image}<figcaption>{text}</figcaption></figure>"


def table(caption: str, rows: list[str]) -> str:
    html = f"<table class='bars'><caption>{caption}</caption>{''.join(rows[:ROWS])}</table>"
    if rest := rows[ROWS:]:
        html += f"<details><summary>{len(rest)} more</summary><table class='bars'>{''.join(rest)}</table></details>"
    return html


def row(label: str, bars: str, value: str) -> str:
    return f"<tr><th scope='row'>{escape(label)}</th><td class='track'>{bars}</td><td class='value'>{value}</td></tr>"


def bar(share: float, kind: str = "now") -> str:
    return f"<div class='bar {kind}' style='width:{share:.1%}'></div>"


def sentences(said: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in said)}</ul>"


def picture(pixels: np.ndarray, alt: str) -> str:
    return f"<img src='{data_url(pixels)}' alt='{escape(alt)}'>"


def data_url(pixels: np.ndarray) -> str:
    """uint8 [3, H, W] as a PNG inside the page."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
