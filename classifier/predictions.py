"""The predictions of two models for the same images, compared image by image."""

import io
from typing import Any

from classifier.errors import InputError
from classifier.runs import read_file
from classifier.significance import mcnemar

import pandas as pd


def read_predictions(rev: str) -> pd.DataFrame:
    """predictions.csv of a revision."""
    return pd.read_csv(io.BytesIO(read_file(rev, "predictions.csv")), dtype=str, keep_default_na=False)


def compare_predictions(reference: str, other: str) -> dict[str, Any]:
    """McNemar's test on the predictions.csv of two revisions, or why it cannot be done."""
    try:
        tables = [read_predictions(rev) for rev in (reference, other)]
    except InputError as error:
        return {"error": str(error)}
    images = [table[["path", "label"]] for table in tables]
    if not images[0].equals(images[1]):
        return {"error": f"The predictions of {reference} and {other} are for different test images."}
    return {"images": len(images[0]), **mcnemar(*tables)}


def describe_predictions(found: dict[str, Any], reference: str, other: str) -> str:
    """What compare_predictions() found, in words that name the two models as the reader knows them."""
    if "error" in found:
        return f"No test on single predictions: {found['error']}"
    outcome = {"higher": f"{other} is right more often", "lower": f"{other} is right less often"}
    return (
        f"Of {found['images']} test images, {found['only_reference']} are classified correctly by {reference} only and "
        f"{found['only_other']} by {other} only. McNemar's exact test: p = {found['p']:.2g}, "
        f"{outcome.get(found['verdict'], found['verdict'])}. That is about these two models: "
        "whether the change or the seed made the difference, only several seeds can tell."
    )
