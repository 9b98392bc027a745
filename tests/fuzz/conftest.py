"""Counts what `make fuzz` tries: a line for each kind of input, for docs/reliability.md."""

import time

from tests.fuzz.counting import LONG, count_of

import pytest


@pytest.fixture(autouse=True)
def counted(request, record_property):
    """Send the counts with the test's report, which also comes from another process."""
    start = time.monotonic()
    yield
    record_property("fuzz", count_of(request.node.originalname)._asdict() | {"seconds": time.monotonic() - start})


def pytest_terminal_summary(terminalreporter):
    if not LONG:
        return
    reports = [report for group in terminalreporter.stats.values() for report in group]
    found = {r.nodeid: dict(r.user_properties)["fuzz"] for r in reports if getattr(r, "when", "") == "teardown"}
    terminalreporter.section("inputs tried")
    for node, count in sorted(found.items()):
        name, speed = node.partition("::test_")[2], count["tried"] / count["seconds"]
        terminalreporter.line(
            f"{name}: {count['tried']:,} tried, {count['tracebacks']} tracebacks, {speed:,.0f} a second"
        )
    tried, tracebacks = (sum(count[key] for count in found.values()) for key in ("tried", "tracebacks"))
    terminalreporter.line(f"in all: {tried:,} tried, {tracebacks} tracebacks")
