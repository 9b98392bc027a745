"""Names of classes and of images: what no table, terminal or checkpoint can hold, and names that only look alike."""

import re
from collections.abc import Iterable
from unicodedata import category, is_normalized, normalize

from classifier.errors import InputError, shown

# Bytes that are no UTF-8 (which Python reads as lone surrogates), and characters that break a line or drive a terminal.
_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
LISTED = 5


def require_sound(names: Iterable[str], where: str) -> None:
    """Refuse names that are not UTF-8 or hold control characters; `where` says what they are the names of.

    Raises:
        InputError: with the first of them, written so that each character is seen.
    """
    bad = [name for name in names if _NOT_UTF8.search(name) or _CONTROL.search(name)]
    if bad:
        why = "is not UTF-8" if _NOT_UTF8.search(bad[0]) else "has a control character"
        listed = ", ".join(shown(name) for name in bad[:LISTED]) + (" …" if len(bad) > LISTED else "")
        raise InputError(
            f"{where}: {len(bad)} name(s) that no table can hold, of which the first {why}: rename {listed}."
        )


def require_distinct(classes: Iterable[str], where: str) -> None:
    """Refuse two names that are written differently and read the same: é in one character and in two, a space at the
    end, characters that are not seen.

    Raises:
        InputError: naming both.
    """
    seen: dict[str, str] = {}
    for name in classes:
        other = seen.setdefault(_as_read(name), name)
        if other != name:
            raise InputError(f"{where}: two classes look the same: {_spelt(other)} and {_spelt(name)}. Rename one.")


def look_alike(missing: Iterable[str], extra: Iterable[str]) -> str:
    """What to append to "missing …, extra …" where some of these names only look the same: how each is spelt."""
    read = {_as_read(name): name for name in missing}
    pairs = [(read[_as_read(name)], name) for name in extra if _as_read(name) in read]
    return "".join(f" {_spelt(one)} and {_spelt(other)} look the same: rename one." for one, other in pairs[:LISTED])


def _as_read(name: str) -> str:
    """A name as people see it: without what takes no room, and with one kind of space."""
    seen = "".join(character for character in name if category(character) != "Cf")
    return " ".join(normalize("NFC", seen).split())


def _spelt(name: str) -> str:
    """A name in ASCII, and which of Unicode's forms it has."""
    form = "NFC" if is_normalized("NFC", name) else "NFD" if is_normalized("NFD", name) else "a mixture of NFC and NFD"
    return f"{name!a} ({form})"
