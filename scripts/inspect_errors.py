"""Look at what a model gets wrong, and know what to do: lists of files to open, and commands that would mend data/.

Reads  models/classifier.safetensors, prepared/, data/ and the section `evaluate` of params.yaml.
Writes inspection/, and nothing else; what to change in data/ is for you to decide:
  index.html          all of it with pictures, one page that needs no network; tick edits and copy their commands
  label_errors.csv    images whose label may be wrong, the likeliest first, and what it may be instead
  duplicates.csv      pictures that are there more than once, within a split or across, and which copy to keep
  mistakes.csv        wrong answers, the training images that each resembles most, and where the network looked
  slices.csv          in which images the model errs more often than in others, with intervals; slice_images.csv: those
  edits.sh            the commands for labels and copies, each behind a `#` that you may remove

    python scripts/inspect_errors.py [--split test] [--all]
"""

from classifier.reproducibility import keep_large_blocks

keep_large_blocks()  # before torch allocates anything

import argparse
from pathlib import Path
from typing import NamedTuple

from classifier.config import load_params
from classifier.data.description import load_description
from classifier.data.duplicates import DECIDE, LEFT_OUT, REMOVE, find_duplicates
from classifier.data.edits import AFTERWARDS, UNPACK, Edits, editable, script
from classifier.data.layouts import open_dataset
from classifier.data.prepared import list_prepared, map_split
from classifier.data.rows import Rows
from classifier.data.splits import EXCLUDED, SPLITS
from classifier.data.survey import Survey, survey
from classifier.errors import InputError, run
from classifier.files import atomic_write, write_table
from classifier.network.checkpoint import require_same_classes
from classifier.network.features import compute_features, nearest
from classifier.network.gradcam import where_it_looked
from classifier.network.predictor import Predictor
from classifier.paths import CHECKPOINT, DATA, PREPARED
from classifier.results.label_errors import judge, rank_labels
from classifier.results.predictions import IMAGE, is_right, make_predictions
from classifier.results.slices import Slice, compare_slices, measure

import numpy as np
import pandas as pd
import torch
from inspection_page.page import Page

OUT = Path("inspection")
RESEMBLED = 4  # training images for each mistake
DOUBTED, SHOWN = 96, 48  # labels, and copies or mistakes, on the page; the tables have all
LOOKED = 24  # mistakes for which the page shows where the network looked


class Material(NamedTuple):
    """What is known of the prepared images; rows are those of train, val and test, one after the other."""

    listed: pd.DataFrame  # split, index, path, class, sha256 of each row
    labels: np.ndarray  # int [rows]
    features: np.ndarray  # float32 [rows, features]
    found: Survey
    at: np.ndarray  # int [rows], its place in the survey
    splits: list[str]  # of each image of the survey, where prepare.py put it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=["val", "test"], default="val", help="whose mistakes (default: val)")
    parser.add_argument("--all", action="store_true", help="compare every image of data/, however long it takes")
    arguments = parser.parse_args()
    split = arguments.split
    dataset, description, params = open_dataset(DATA), load_description(), load_params("evaluate")
    predictor = Predictor(CHECKPOINT, params.tta, params.precision)
    require_same_classes(predictor.metadata, description.classes)
    if not description.splits[split]["count"]:
        raise InputError(f"{PREPARED}/ has no {split} split: `--split val` takes the other one.")
    images = {name: map_split(name, description).images for name in SPLITS}
    print(f"looking at {DATA}/ and at what the network makes of it: for photographs, minutes", flush=True)
    material = gather(survey(dataset, arguments.all), images, predictor)
    edits = Edits(material.found.paths) if editable(dataset) else None

    labels = doubt_labels(material, edits)
    duplicates = find_copies(material, edits)
    answers = make_predictions(predictor(images[split]), map_split(split).labels, description.classes, split)
    mistakes = explain(answers, material, split, labels[labels["likely"]])
    heat, method = look(predictor, images[split], mistakes, description.classes)
    slices, members = find_slices(answers, images[split], material, split)

    tables = {"label_errors": labels, "duplicates": duplicates, "mistakes": mistakes, "slices": slices}
    for name, table in (tables | {"slice_images": list_slices(slices, members, answers)}).items():
        write_table(OUT / f"{name}.csv", table.round(5))
    with atomic_write(OUT / "edits.sh") as file:
        file.write(script(labels["edit"][labels["likely"]], duplicates["edit"]).encode())
    page = Page(material.listed, images, predictor.metadata.preprocessing.centre, edits is not None)
    page.add_labels(labels, len(material.labels), DOUBTED)
    page.add_duplicates(duplicates, SHOWN)
    page.add_mistakes(mistakes.head(SHOWN), len(mistakes), len(answers), heat, method, split)
    page.add_slices(slices, [answers.iloc[part.wrong] for part in members], IMAGE[split])
    page.write(OUT / "index.html", AFTERWARDS if edits else UNPACK)
    report(labels, duplicates, mistakes, slices, split, edits is not None)


def gather(found: Survey, images: dict[str, Rows], predictor: Predictor) -> Material:
    """Match data/ with prepared/, and compute the features of all images.

    Raises:
        InputError: if prepared/ was made from other images.
    """
    listed = pd.concat([list_prepared(split) for split in SPLITS], ignore_index=True)
    every = pd.concat([listed, list_prepared(EXCLUDED)])
    keys = list(zip(found.paths, found.digests.tolist(), strict=True))
    where = {key: i for i, key in enumerate(keys)}
    prepared = {
        (path, int(digest[:16], 16)): split
        for path, digest, split in zip(every["path"], every["sha256"], every["split"], strict=True)
    }
    if where.keys() != prepared.keys():
        raise InputError(f"{PREPARED}/ was made from other images than lie in {DATA}/: run `dvc repro`.")
    at = np.array([where[path, int(d[:16], 16)] for path, d in zip(listed["path"], listed["sha256"], strict=True)])
    batches = (batch for split in SPLITS for batch in predictor.batches(images[split]))
    features = compute_features(predictor.network, batches, predictor.dtype)
    return Material(listed, found.labels[at], features, found, at, [prepared[key] for key in keys])


def doubt_labels(material: Material, edits: Edits | None) -> pd.DataFrame:
    """A row per image whose label is not what others say, the likely errors first."""
    probabilities = judge(material.features, material.labels, material.found.group[material.at])
    rows, likely = rank_labels(probabilities, material.labels)
    classes = np.array(material.found.classes)
    said = probabilities[rows].argmax(1)
    table = material.listed.iloc[rows][["path", "split", "class"]].rename(columns={"class": "label"})
    table = table.assign(
        suggested=classes[said],
        label_probability=probabilities[rows, material.labels[rows]],
        suggested_probability=probabilities[rows, said],
        likely=np.arange(len(rows)) < likely,
    )
    moved = [edits.move(row.path, row.label, row.suggested) if edits else "" for row in table.itertuples()]
    return table.assign(edit=moved).reset_index(drop=True)


def find_copies(material: Material, edits: Edits | None) -> pd.DataFrame:
    table = find_duplicates(material.found, material.splits)
    removable = table["advice"].isin([REMOVE, DECIDE])
    commands = [edits.remove(path) if edits and ok else "" for path, ok in zip(table["path"], removable, strict=True)]
    return table.assign(edit=commands)


def explain(answers: pd.DataFrame, material: Material, split: str, doubted: pd.DataFrame) -> pd.DataFrame:
    """A row per wrong answer, the most confident first, with the training images that it resembles most."""
    wrong = answers[~is_right(answers)].sort_values(["confidence", "index"], ascending=[False, True])
    in_train = np.flatnonzero(material.listed["split"] == "train")
    in_split = np.flatnonzero(material.listed["split"] == split)
    indices, cosines = nearest(material.features[in_split[wrong["index"]]], material.features[in_train], RESEMBLED)
    table = wrong[["index", "path", "label", "prediction", "confidence"]].reset_index(drop=True)
    table = table.assign(label_doubted=table["path"].isin(doubted["path"]))
    for rank in range(indices.shape[1]):
        train = material.listed.iloc[in_train[indices[:, rank]]]
        table[f"like_{rank + 1}"] = train["path"].to_numpy()
        table[f"like_{rank + 1}_class"] = train["class"].to_numpy()
        table[f"like_{rank + 1}_cosine"] = cosines[:, rank]
        table[f"like_{rank + 1}_doubted"] = train["path"].isin(doubted["path"]).to_numpy()
    return table


def look(predictor: Predictor, images: Rows, mistakes: pd.DataFrame, classes: list[str]) -> tuple[np.ndarray, str]:
    """Where the network looked for the first LOOKED mistakes, and by which method that was found."""
    some = mistakes.head(LOOKED)
    if some.empty:
        return np.zeros((0, 1, 1), np.float32), ""
    seen = torch.from_numpy(images[some["index"]]).to(predictor.device)
    answered = torch.tensor([classes.index(name) for name in some["prediction"]], device=predictor.device)
    return where_it_looked(predictor.network, seen, answered)


def find_slices(
    answers: pd.DataFrame, images: Rows, material: Material, split: str
) -> tuple[pd.DataFrame, list[Slice]]:
    rows = material.at[np.flatnonzero(material.listed["split"] == split)]
    return compare_slices(answers, measure(images).assign(side=material.found.sides[rows, 0]))


def list_slices(slices: pd.DataFrame, members: list[Slice], answers: pd.DataFrame) -> pd.DataFrame:
    """The wrong answers in each slice that fails."""
    parts = [
        answers.iloc[part.wrong][["path", "label", "prediction", "confidence"]].assign(slice=part.name)
        for part, fails in zip(members, slices["fails"], strict=True)
        if fails
    ]
    columns = ["slice", "path", "label", "prediction", "confidence"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def report(
    labels: pd.DataFrame,
    duplicates: pd.DataFrame,
    mistakes: pd.DataFrame,
    slices: pd.DataFrame,
    split: str,
    files: bool,
) -> None:
    """What was found, in a few lines, and what to do next."""
    groups = duplicates[duplicates["advice"] != LEFT_OUT].groupby("group")["split"]
    across = int((groups.nunique() > 1).sum())
    failing = slices[slices["fails"]]
    likely = int(labels["likely"].sum())
    print(f"label_errors.csv  {likely:,} labels are likely wrong, {len(labels) - likely:,} more are less likely so")
    print(
        f"duplicates.csv    {duplicates['group'].nunique():,} pictures more than once, {across:,} of them across splits"
    )
    print(f"mistakes.csv      {len(mistakes):,} wrong answers on {split}, with the training images that they resemble")
    print(f"slices.csv        {len(failing):,} of {len(slices):,} slices fail more often than chance explains")
    for row in failing.head(5).itertuples():
        print(f"                  {row.slice}: {row.share:.0%} of {row.images} wrong [{row.low:.0%}, {row.high:.0%}]")
    print(f"Open {OUT}/index.html and tick what you agree with. Nothing has been changed.")
    if not files:
        print(f"To edit single images, unpack them first: {' && '.join(UNPACK)}")


if __name__ == "__main__":
    run(main)
