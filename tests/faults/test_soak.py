"""bench/soak.py with two experiments, which takes about two minutes: DVC's queue while its processes are killed."""

import random
from unittest.mock import Mock

from bench import soak as bench
from bench.soak import disturb, soak

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


def test_a_task_that_was_lost_with_a_worker_is_queued_again(monkeypatch):
    queued = []
    states = iter([[("soak-1", "Queued")], [("soak-1", "Success"), ("soak-2", "Success")]])
    monkeypatch.setattr(bench, "tasks", lambda clone: next(states))
    monkeypatch.setattr(bench, "enqueue", lambda clone, name: queued.append(name))
    monkeypatch.setattr(bench, "descendants", lambda clone, word="": iter(()))
    monkeypatch.setattr(bench, "kill", lambda clone, victim, delay: True)
    counts = disturb(Mock(), ["soak-1", "soak-2"], random.Random(0))
    assert queued == ["soak-1", "soak-2", "soak-2"]
    assert counts["tasks lost and queued again"] == 1
