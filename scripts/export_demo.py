"""Write one HTML file to send: how good the model is, where it errs, and the model itself to try.

    python scripts/export_demo.py [--out demo.html] [--images 120] [--title "Which animal is it?"]

Reads models/classifier.safetensors, prepared/, predictions.csv and params.yaml. Whoever receives the file
opens it in a browser and tries own images: nothing to install, no network, and no image leaves the machine.
The first export fetches ONNX Runtime Web with npm into .cache/.
"""

import argparse
import html
from dataclasses import asdict
from pathlib import Path
from typing import Any

from classifier.config import load_params
from classifier.data.description import load_description
from classifier.data.prepared import map_split
from classifier.data.rows import Rows
from classifier.errors import InputError, run
from classifier.files import atomic_write, sha256
from classifier.network.checkpoint import Metadata, load_checkpoint
from classifier.network.export import round_weights, to_onnx
from classifier.network.inference import batch_size, predict_logits, test_time_views
from classifier.network.network import Network
from classifier.network.predictor import Predictor
from classifier.paths import CHECKPOINT
from classifier.results.predictions import (
    IMAGE,
    count_right,
    is_right,
    load_predictions,
    require_prepared,
    require_same_model,
)
from classifier.results.story import summary, what_it_cannot_do

import numpy as np
import pandas as pd
import torch
from demo_page.runtime import RUNTIME, fetch_runtime
from offline_page.assemble import as_json, assemble, compress, data_uri

PAGE = Path(__file__).with_name("demo_page")
SAMPLE = 200  # images on which 16-bit weights are tried
TOLERANCE = 8e-4  # between probabilities: with what a browser adds, they stay within a tenth of a percent
# What visitors should know of how an image becomes a square, for each fit of classifier/data/images.py.
HINTS = {
    "crop": "What matters should be in the middle: the sides are cut off to make a square.",
    "pad": "The model looks at the whole image, with grey beside it to make a square.",
    "squash": "The model looks at the whole image, squeezed to make a square.",
}
COARSE = 96  # pixels a side up to which images are shown exactly, pixel by pixel
THUMBNAIL = 160  # pixels a side in the gallery, for models that take larger images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo.html"), help="the file to write (default: demo.html)")
    parser.add_argument("--images", type=int, default=120, help="images in the gallery, at most (default: 120)")
    parser.add_argument("--title", default="How well does it tell images apart?", help="the page's heading")
    arguments = parser.parse_args()
    if not 0 <= arguments.images <= 2000:
        raise InputError(f"--images must be between 0 and 2000, not {arguments.images}.")
    answers = load_predictions()
    description = load_description()
    network, metadata = load_checkpoint(CHECKPOINT)
    split = require_prepared(answers)
    images = map_split(split, description).images
    params = load_params("evaluate")
    predictor = Predictor(CHECKPOINT, params.tta, params.precision)
    require_same_model(answers, images, metadata.classes, predictor)
    runtime = fetch_runtime()
    network = choose_weights(network, images, split)
    chosen = choose_images(answers, arguments.images)
    see = metadata.preprocessing.centre  # what the model sees of them
    data = {
        "classes": metadata.classes,
        "coarse": metadata.preprocessing.crop <= COARSE,
        "preprocessing": asdict(metadata.preprocessing),
        "accuracy": float(is_right(answers).mean()),
        "recall": list(count_right(answers)["recall"].sort_values(ascending=False, kind="stable").items()),
        "gallery": [
            {**row, "image": data_uri(see(images[row["index"]]), COARSE, THUMBNAIL)}
            for row in chosen.to_dict("records")
        ],
    }
    said = summary(answers, split) | {"What it cannot do": what_it_cannot_do(metadata.classes)}
    page = fill_page(arguments.title, data, said, notes(metadata, answers, chosen, split))
    print("packing the model and what runs it in a browser", flush=True)
    parts = {"onnx": to_onnx(network, metadata.model), **runtime}
    with atomic_write(arguments.out) as file:
        file.write(embed(page, parts).encode())
    size = arguments.out.stat().st_size / 1e6
    print(f"{arguments.out}: {size:.1f} MB, with {len(chosen)} {IMAGE[split]}s and the model")


def choose_weights(network: Network, images: Rows, split: str) -> Network:
    """The network with weights of 16 bits, which halve its size, unless its answers on the split's images differ."""
    sample, size = images[:: -(-len(images) // SAMPLE)], batch_size(network)
    rounded = round_weights(network)

    def answer(network: Network) -> torch.Tensor:
        batches = (torch.from_numpy(np.array(sample[i : i + size])) for i in range(0, len(sample), size))
        return network.probabilities(predict_logits(network, batches, torch.float32))

    exact, short = answer(network), answer(rounded)
    difference = float((exact - short).abs().max())
    same = difference <= TOLERANCE and torch.equal(exact.argmax(1), short.argmax(1))  # NaN is not the same
    print(
        f"weights of 16 bits change the probabilities of {len(sample)} {IMAGE[split]}s by {difference:.1e} at most: "
        + ("they are used" if same else "those of 32 bits are kept")
    )
    return rounded if same else network


def choose_images(answers: pd.DataFrame, count: int) -> pd.DataFrame:
    """Up to `count` rows: right and wrong answers of every class in turn, from anywhere in the split."""
    mixed = answers.sample(frac=1, random_state=0)
    turn = mixed.groupby(["label", is_right(mixed)]).cumcount()
    columns = ["index", "label", "prediction", "confidence"]
    return mixed.assign(turn=turn).sort_values(["turn", "index"]).head(count).sort_values("index")[columns]


def notes(metadata: Metadata, answers: pd.DataFrame, chosen: pd.DataFrame, split: str) -> dict[str, str]:
    """What must be said beside the gallery, the field for own images and the model for the page to be honest."""
    wrong, shown = (~is_right(table) for table in (answers, chosen))
    unknown = {"test": "of which the model has never seen any", "val": "from which the model has not learnt"}[split]
    gallery = (
        f"{len(shown):,} of the {len(wrong):,} {IMAGE[split]}s, {unknown}: {(~shown).sum()} answered right and "
        f"{shown.sum()} wrong."
    )
    if len(shown) < len(wrong):
        gallery += (
            f" Mistakes are shown more often than they happen: {wrong.sum():,} of all {len(wrong):,} answers are wrong."
        )
    wanted = metadata.preprocessing
    hint = HINTS[wanted.fit]
    if wanted.crop < wanted.size and wanted.fit != "crop":
        hint += " It leaves a narrow edge out."
    views = len(test_time_views(torch.zeros(1, 3, 8, 8), load_params("evaluate").tta))
    averaged = (
        f"In the numbers and the gallery each answer is an average over {views} views of the image; "
        "the model in this page looks once, so its percentages differ a little. "
        if views > 1
        else ""
    )
    footer = (
        f"{averaged}Network {metadata.model}, {wanted.crop} × {wanted.crop} pixels, "
        f"checkpoint {sha256(CHECKPOINT)[:12]}. Runs with {RUNTIME}, © Microsoft, MIT licence."
    )
    return {"gallery_note": gallery, "hint": hint, "footer": footer}


def fill_page(title: str, data: dict[str, Any], story: dict[str, str], notes: dict[str, str]) -> str:
    """The page without model and runtime. Class names may hold anything, so all text is escaped."""
    sections = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd></div>" for name, text in story.items()
    )
    escaped = {name: html.escape(text) for name, text in notes.items()}
    scripts = ["pixels.js", "app.js"]
    return assemble(PAGE, title, scripts, "'wasm-unsafe-eval' blob:", data=as_json(data), story=sections, **escaped)


def embed(page: str, parts: dict[str, bytes]) -> str:
    """The page with the model and what runs it, each under its name, as app.js unpacks them."""
    scripts = (f'<script type="text/plain" id="{name}">{compress(part)}</script>' for name, part in parts.items())
    return page.replace("<!-- embedded -->", "\n".join(scripts))


if __name__ == "__main__":
    run(main)
