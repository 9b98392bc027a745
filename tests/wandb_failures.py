"""The ways in which W&B can fail, for tests/faults/test_wandb.py and bench/tracking.py.

Each function prepares a failure and returns the environment that leads into it; `enter` is
ExitStack.enter_context, for what must be taken down afterwards.
"""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from tests.wandb_server import KEY, WandbServer

T = TypeVar("T")
Enter = Callable[[AbstractContextManager[T]], T]


def no_key(enter: Enter) -> dict[str, str]:
    return {"WANDB_MODE": "online"}


def a_key_of_the_wrong_form(enter: Enter) -> dict[str, str]:
    return {"WANDB_MODE": "online", "WANDB_API_KEY": "short"}


def a_key_that_the_server_does_not_know(enter: Enter) -> dict[str, str]:
    return enter(WandbServer()).environment | {"WANDB_API_KEY": KEY[::-1]}


def a_name_that_does_not_resolve(enter: Enter) -> dict[str, str]:
    return {"WANDB_MODE": "online", "WANDB_API_KEY": KEY, "WANDB_BASE_URL": "http://wandb.invalid"}


def a_closed_port(enter: Enter) -> dict[str, str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return {"WANDB_MODE": "online", "WANDB_API_KEY": KEY, "WANDB_BASE_URL": f"http://127.0.0.1:{port}"}


def a_port_that_never_answers(enter: Enter) -> dict[str, str]:
    return enter(WandbServer("hanging")).environment


def a_server_that_only_fails(enter: Enter) -> dict[str, str]:
    return enter(WandbServer("failing")).environment


def a_server_that_hangs_when_the_run_begins(enter: Enter) -> dict[str, str]:
    return enter(WandbServer("hanging", "UpsertBucket")).environment


def a_server_that_fails_when_the_run_begins(enter: Enter) -> dict[str, str]:
    return enter(WandbServer("failing", "UpsertBucket")).environment


def a_server_that_hangs_during_the_run(enter: Enter) -> dict[str, str]:
    return enter(WandbServer("hanging", "file_stream")).environment


def a_server_that_fails_during_the_run(enter: Enter) -> dict[str, str]:
    return enter(WandbServer("failing", "file_stream")).environment


def a_server_that_dies_during_the_run(enter: Enter) -> dict[str, str]:
    return enter(WandbServer("dead", "file_stream")).environment


FAILURES = [
    no_key,
    a_key_of_the_wrong_form,
    a_key_that_the_server_does_not_know,
    a_name_that_does_not_resolve,
    a_closed_port,
    a_port_that_never_answers,
    a_server_that_only_fails,
    a_server_that_hangs_when_the_run_begins,
    a_server_that_fails_when_the_run_begins,
    a_server_that_hangs_during_the_run,
    a_server_that_fails_during_the_run,
    a_server_that_dies_during_the_run,
]
