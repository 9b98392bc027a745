"""The settings of a fuzz test, and how many inputs it has tried and what it has found."""

import functools
import os
import traceback
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis.errors import HypothesisException

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
LONG = "FUZZ_EXAMPLES" in os.environ

SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=not LONG,  # the fast tests try the same each time
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Count(NamedTuple):
    tried: int  # inputs, those included by which a failure was made smaller
    tracebacks: int  # exceptions that are no refusals, each place where one is raised counted once


_tried: Counter[str] = Counter()
_places: dict[str, set[str]] = {}


def fuzz(test: Callable) -> Callable:
    """`test` on EXAMPLES inputs, which are counted."""

    @functools.wraps(test)
    def counted(*arguments: object, **keywords: object) -> None:
        _tried[test.__name__] += 1
        try:
            test(*arguments, **keywords)
        except HypothesisException:  # an input that is no example
            raise
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            _places.setdefault(test.__name__, set()).add(f"{type(error).__name__} {place.filename}:{place.lineno}")
            raise

    return SETTINGS(counted)


def count_of(test: str) -> Count:
    """What the test of this name has counted in this process."""
    return Count(_tried[test], len(_places.get(test, ())))
