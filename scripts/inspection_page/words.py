"""What the page of an inspection says, in sentences."""

import html
from collections import Counter
from typing import Any

from classifier.data.duplicates import DECIDE, LEFT_OUT
from classifier.network.gradcam import GRAD_CAM

import pandas as pd


def labels(likely: int, others: int, images: int, shown: int) -> str:
    if not likely + others:
        return f"None of the {images:,} labels is doubted."
    many = (
        f"{likely:,} of {images:,} labels are likely wrong" if likely else f"None of {images:,} labels is likely wrong"
    )
    less = f"; {others:,} more are less likely errors, of which the likeliest are shown" if not likely else ""
    return (
        f"{many}{less}{_part(shown, likely)}, the likeliest first. Each image was judged by others that it is no copy "
        "of, from what the network makes of them. That finds most errors, and names sound labels beside them, since "
        "what is hard is doubted, too. So look, and decide. The percentages are how probable the others find the label "
        f"that is written, and another. All are in {_file('label_errors.csv')}"
        + (f", and {others:,} less likely ones." if likely else ".")
    )


def duplicates(table: pd.DataFrame, shown: int) -> str:
    groups = table.groupby("group")
    count = groups.ngroups
    if not count:
        return "No picture is there more than once."
    across = int((table[table["advice"] != LEFT_OUT].groupby("group")["split"].nunique() > 1).sum())
    classes = int((table["advice"] == DECIDE).groupby(table["group"]).any().sum())
    return (
        f"{count:,} {_plural(count, 'picture')} {'is' if count == 1 else 'are'} there more than once"
        f"{_part(shown, count)}: {classes:,} under two classes, {across:,} in two splits, where results on val or test "
        "flatter. Re-encoded and resized copies are found, and those cut by a hair; small things before a fixed camera "
        f"look like copies, so look before you remove one. All are in {_file('duplicates.csv')}."
    )


def mistakes(found: int, images: int, shown: int, looked: int, method: str, split: str) -> str:
    if not found:
        return f"None of the {images:,} answers on {split} is wrong."
    where = (
        "Bright is what spoke for the answer that was given (Grad-CAM)."
        if method == GRAD_CAM
        else "This network has no map of places: bright is where a pixel would change the answer most (gradient)."
    )
    caution = (
        " They are of the test split: what you change after looking at them makes its numbers flatter."
        if split == "test"
        else ""
    )
    return (
        f"{found:,} of {images:,} answers on {split} are wrong{_part(shown, found)}, the most confident first.{caution}"
        f" Beside each: where the network looked, for {looked} of them, and the training images that it takes for most "
        f"alike (a cosine of 1 is the same direction). {where} If those images are of the class that was answered, see "
        "whether their labels are right, and collect more like this one under its own class. If it looked beside the "
        f"thing, show it the thing on other grounds. All are in {_file('mistakes.csv')}."
    )


def mistake(row: dict[str, Any]) -> str:
    """“shirt” taken for “t-shirt” (93 %), and what the training images that it resembles are."""
    like = Counter(value for key, value in row.items() if key.startswith("like_") and key.endswith("_class"))
    of_answer = like[row["prediction"]]
    text = (
        f"“{_e(row['label'])}” taken for <b>{_e(row['prediction'])}</b> ({row['confidence']:.0%}). Of the "
        f"{like.total()} most alike, {of_answer} {'is' if of_answer == 1 else 'are'} “{_e(row['prediction'])}”, "
        f"{like[row['label']]} “{_e(row['label'])}”."
    )
    return text + (" Its label is doubted, see above." if row["label_doubted"] else "")


def slices(table: pd.DataFrame, image: str) -> str:
    failing = int(table["fails"].sum())
    looked = (
        f"{len(table):,} slices of the {image}s were looked at: by size, brightness and sharpness, also of each class, "
        "classes, and pairs of them"
    )
    if not failing:
        return f"{looked}. In none of them the model errs more often than chance explains. {_slices_file()}"
    return (
        f"{looked}. {failing:,} {'fails' if failing == 1 else 'fail'} more often than the rest, by more than chance, "
        "the number of slices allowed for. Collect or augment for these: sizes with RandomResizedCrop, light with "
        "ColorJitter, blur with GaussianBlur in train.augment; pairs of classes by more images of both. "
        + _slices_file()
    )


def slice_(row: Any) -> str:
    return (
        f"<b>{_e(row.slice)}</b>: {row.wrong} of {row.images} wrong, {row.share:.0%} "
        f"[{row.low:.0%}, {row.high:.0%}], of the rest {row.rest_share:.1%}"
    )


def how(files: bool) -> str:
    if files:
        return "Nothing is changed until you run what you copy, in the folder of the repository."
    return "The images of this dataset are no files of their own. Unpack them, and run inspect_errors.py again:"


def _slices_file() -> str:
    return f"All are in {_file('slices.csv')}, the wrong answers of those that fail in {_file('slice_images.csv')}."


def _part(shown: int, found: int) -> str:
    return f" ({shown:,} are shown)" if shown < found else ""


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _file(name: str) -> str:
    return f"<a href='{name}'>{name}</a>"


def _e(text: str) -> str:
    return html.escape(str(text), quote=True)
