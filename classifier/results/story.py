"""What a model's answers for the test images (predictions.csv) amount to, in sentences for people who train none.

`split` is what they are of: test, or val where nothing was held back for a test, which is then said. Every sentence
can be checked by counting rows. Numbers are "90 of 100", which reads as what would happen with the next hundred images,
or plain counts where there are fewer images than that.
"""

from classifier.errors import counted
from classifier.results.predictions import (
    IMAGE,
    NO_TEST,
    class_names,
    count_right,
    is_right,
    mistakes,
    same_images,
)
from classifier.results.worst import find_worst

import pandas as pd

LEVELS = (0.9, 0.8, 0.7, 0.6, 0.5)  # of confidence, from which one is chosen to speak of
RELIABLE = 0.99  # share of right answers
FEW = 20  # images: a share of fewer says little
NEARLY = 0.03  # confidence and accuracy that differ by less are called equal
ALIKE = (20, 100)  # how many answers of about the same confidence are counted: at least, at most
CERTAINTY = {  # what to call an answer, by the share of such answers that were right
    0.99: "almost certainly right",
    0.95: "very likely right",
    0.8: "probably right",
    0.6: "not sure",
    0.0: "hardly more than a guess",
}


def summary(answers: pd.DataFrame, split: str) -> dict[str, str]:
    """A few sentences under each of three headings, in the order in which to read them."""
    return {
        "How good it is": f"{how_often_right(answers, split)} {best_and_worst_class(answers)}",
        "Where it errs": most_frequent_mistake(answers),
        "When to believe it": f"{when_to_believe(answers)} {whether_it_is_modest(answers)}",
    }


def how_often_right(answers: pd.DataFrame, split: str) -> str:
    """Of 100 images that it had never seen, it gets 90 right; guessing would get 10. Measured on 10,000 images."""
    right = is_right(answers)
    total = min(100, len(right))
    guessed = total / len(class_names(answers))
    guessing = f"{guessed:.0f}" if guessed >= 1 else "fewer than 1"
    unknown, caution = ("had not learnt from", f" {NO_TEST}") if split == "val" else ("had never seen", "")
    return (
        f"Of {counted(total, 'image')} that it {unknown}, it gets {_share(right)} right; "
        f"guessing would get {guessing}. Measured on {counted(len(right), 'image')}.{caution}"
    )


def best_and_worst_class(answers: pd.DataFrame) -> str:
    """It knows “automobile” best (96 of 100 recognised) and “cat” least (80 of 100).

    Where the images are too few to tell which class is known least, that is said.
    """
    by_class = count_right(answers)
    recall, found = by_class["recall"], find_worst(by_class["recall"].to_dict(), by_class["images"].to_dict())
    if not found:
        return "It recognises every class equally well."
    best, worst = recall.idxmax(), found.name
    shares = {name: _of(is_right(answers[answers["label"] == name])) for name in (best, worst)}
    doubt = "" if found.clear else ", though with other images it may be another class"
    return f"It knows “{best}” best ({shares[best]} recognised) and “{worst}” least ({shares[worst]}){doubt}."


def most_frequent_mistake(answers: pd.DataFrame) -> str:
    """Of its 900 mistakes, the most frequent is to take “dog” for “cat”: 95 of the 1,000 images of “dog”."""
    pairs = mistakes(answers)
    if pairs.empty:
        return f"It made no mistake on {counted(len(answers), 'image')}; others will show one sooner or later."
    total = pairs["count"].sum()
    label, prediction, count = pairs.iloc[0]
    if count == 1:
        return f"It made {counted(total, 'mistake')}" + (", no two of them alike." if total > 1 else ".")
    return (
        f"Of its {counted(total, 'mistake')}, the most frequent is to take “{label}” for “{prediction}”: "
        f"{count:,} of the {counted((answers['label'] == label).sum(), 'image')} of “{label}”."
    )


def when_to_believe(answers: pd.DataFrame) -> str:
    """When it is at least 80 % sure, as it is with 50 of 100 images, it is right more than 99 of 100 times. …

    The lowest level at which it is that reliable, or else the highest that enough images reach.
    """
    confidence, right = answers["confidence"], is_right(answers)
    needed = max(FEW, len(right) / 20)
    levels = [level for level in LEVELS if (confidence >= level).sum() >= needed]
    if not levels:
        return "It is seldom more than half sure of an answer."
    reliable = [level for level in levels if right[confidence >= level].mean() >= RELIABLE]
    level = reliable[-1] if reliable else levels[0]
    sure = confidence >= level
    sentence = (
        f"When it is at least {level * 100:.0f} % sure, as it is with {_of(sure)} images, "
        f"it is right {_of(right[sure])} times."
    )
    unsure = confidence < 0.5
    if unsure.sum() >= FEW:
        sentence += f" When it is less than 50 % sure, it is right {_of(right[unsure])} times."
    return sentence


def whether_it_is_modest(answers: pd.DataFrame) -> str:
    """On average it is 72 % sure and right in 90 %: it is more often right than it says."""
    claimed, right = answers["confidence"].mean(), is_right(answers).mean()
    verdict = "it is more often right than it says" if right > claimed else "it is less often right than it says"
    if abs(right - claimed) < NEARLY:
        verdict = "it is about as often right as it says"
    return f"On average it is {claimed * 100:.0f} % sure and right in {right * 100:.0f} %: {verdict}."


def what_it_cannot_do(classes: list[str]) -> str:
    """It knows only these 3 classes: “cat”, “dog” and “frog”. Whatever it is shown, it names one of them."""
    named = [f"“{name}”" for name in classes]
    listed = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) <= 20 else f"{', '.join(named[:20])} and so on"
    return f"It knows only these {len(classes)} classes: {listed}. Whatever it is shown, it names one of them."


def certainty(answers: pd.DataFrame, confidence: float, split: str) -> tuple[str, str]:
    """What an answer of this confidence is worth: in a word, and as what became of the most similar answers.

    Models trained with label smoothing are right more often than their confidence says, others less often:
    counting needs to know nothing of that.
    """
    at_least, at_most = ALIKE
    count = min(len(answers), max(at_least, min(len(answers) // 20, at_most)))
    alike = is_right(answers)[(answers["confidence"] - confidence).abs().nsmallest(count).index]
    share = (alike.sum() + 1) / (count + 2)  # Laplace's rule: a few answers, all right, do not prove certainty
    word = next(word for least, word in CERTAINTY.items() if share >= least)
    right = "all" if alike.all() else alike.sum()
    return word, f"It was about as sure of {count} {IMAGE[split]}s and got {right} of them right."


def changes(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """What became of the answers for the same images, and whether that may be chance: a sentence each."""
    from classifier.results.significance import mcnemar  # scipy takes a second to import

    if not same_images(before, after):
        return ["It was measured on other images then, so the answers cannot be compared one by one."]
    test = mcnemar(before, after)
    fixed, broken = test["only_other"], test["only_reference"]
    better, worse = counted(fixed, "image"), counted(broken, "image")
    counts = f"Right now and wrong before: {better}. Wrong now and right before: {worse}."
    if not fixed and not broken:
        return [counts]
    verdict = {
        "higher": "That is more than chance would do: it has become better.",
        "lower": "That is more than chance would do: it has become worse.",
    }
    return [counts, verdict.get(test["verdict"], "So small a difference can be chance.")]


def _share(flags: pd.Series) -> str:
    """How many of 100 are true; never "100" or "0" where there is an exception."""
    count, total = int(flags.sum()), len(flags)
    if total <= 100:
        return str(count)
    of_hundred = round(100 * count / total)
    if of_hundred == 100 and count < total:
        return "more than 99"
    return "fewer than 1" if of_hundred == 0 and count else str(of_hundred)


def _of(flags: pd.Series) -> str:
    """90 of 100."""
    return f"{_share(flags)} of {min(100, len(flags))}"
