"""bench/soak.py with two experiments, which takes about two minutes: DVC's queue while its processes are killed."""

from bench.soak import soak

import pytest

pytestmark = pytest.mark.slow


def test_experiments_whose_processes_are_killed_end_as_if_nothing_had_been(own):
    table = soak(own, 2, seed=0)
    assert table["results equal to the undisturbed ones"] == (2, 2)
    assert table["worker killed"][1] == table["trainer killed"][1] == table["ghosts cleared"][1] == 1
    for name in (
        "processes left",
        "locks held (DVC's rwlock)",
        "temporary files (.*.tmp)",
        "changed files (git status)",
    ):
        assert table[name][1] == 0, table
    assert table["files in the cache"][0] == table["files in the cache"][1]
