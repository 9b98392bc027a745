"""The order in which people expect classes."""

import re

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def reading_order(classes: list[str]) -> list[int]:
    """Indices of `classes` in the order in which to show them.

    Names of folders come in the order of the alphabet, which knows no numbers: there, 2 comes before 10, and two
    before three, if all are number words. Classes in any other order are in one that their dataset chose.
    """
    indices = list(range(len(classes)))
    if classes != sorted(classes):
        return indices
    if {name.lower() for name in classes} <= set(NUMBERS):
        return sorted(indices, key=lambda i: NUMBERS.index(classes[i].lower()))
    return sorted(indices, key=lambda i: _by_numbers(classes[i]))


def _by_numbers(name: str) -> list[tuple[int, str]]:
    """The name in pieces that compare: digits by their value, all else as text."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", name) if piece]
