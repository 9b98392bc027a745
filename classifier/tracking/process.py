"""The process that talks to W&B for train.py or evaluate.py; classifier/tracking/tracker.py starts it.

Reads messages, a JSON object a line, from standard input: first what the stage is, then rows, then the
end. Prints one JSON object: where the run is, and why it is not online if it should be.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from classifier.tracking.run import RUNS, Mode, begin_run, log_epoch, log_evaluation, training_folder, write_note

import wandb

PROBE_SECONDS = 4


def main() -> None:
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # wandb's own process inherits this one's output, and may outlive it
    try:
        print(json.dumps(track(read_ahead())), file=report, flush=True)
    except Exception as error:
        print(json.dumps({"failed": f"{type(error).__name__}: {one_line(error)}"}), file=report, flush=True)
        raise


def track(messages: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Make the run that the messages tell of; returns where it is, and why not online if it should be."""
    os.environ["WANDB_DIR"] = str(RUNS.parent)
    for variable in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR"):  # where tables wait for their upload: the home folder else
        os.environ.setdefault(variable, str(RUNS / "staging"))
    wandb.setup(wandb.Settings(silent=True))
    mode, because = choose_mode()
    if mode == "disabled":
        return {"disabled": "by W&B's own settings"}
    first = next(messages)
    try:
        run = begin_run(first, mode)
    except wandb.Error as error:
        mode, because = "offline", f"the server refuses the run: {one_line(error)}"
        run = begin_run(first, mode)
    if first["stage"] == "evaluate":
        import_module("classifier.results.predictions")  # pandas takes a second: now, not when the stage waits
    ended = False
    for message in messages:
        ended = "end" in message
        if not ended:
            log_epoch(run, message["log"])
    if ended:
        if first["stage"] == "evaluate":
            log_evaluation(run)
        else:
            write_note(run)
    folder = str(Path(run.dir).parent)
    earlier = training_folder() if first["stage"] == "evaluate" else []
    where = {"url": run.url} if mode == "online" else {"folders": [*earlier, folder]}
    try:
        run.finish(exit_code=0 if ended else 1)
    except TimeoutError:
        where, because = {"folders": [folder]}, "the server stopped answering"
    return where | {"because": because}


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def read_ahead() -> Iterator[dict[str, Any]]:
    """The messages, read as they come, so that the sender never waits for wandb."""
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    return map(json.loads, iter(lines.get, ""))


def choose_mode() -> tuple[Mode, str]:
    """online, offline or disabled, and why it is not online though it was not asked to be otherwise."""
    settings = wandb.setup().settings
    if settings.mode == "disabled":
        return "disabled", ""
    if settings.mode in ("offline", "dryrun"):
        return "offline", ""
    try:
        if not wandb.login(prompt=False, verify=False):  # which the server does later
            return "offline", "no API key: `wandb login` asks for it"
    except wandb.Error as error:
        return "offline", f"the API key is not valid: {one_line(error)}"
    problem = probe(settings.base_url)
    return ("offline", f"{settings.base_url} {problem}") if problem else ("online", "")


def probe(url: str) -> str:
    """What is wrong with the server, or nothing. wandb itself would find out after minutes."""
    import requests

    problems = []

    def ask() -> None:
        try:
            query = {"query": "query Probe { viewer { id } }"}  # null without a key, but an answer
            status = requests.post(f"{url}/graphql", json=query, timeout=PROBE_SECONDS).status_code
            problems.append(f"answers with status {status}" if status >= 500 else "")
        except requests.RequestException:
            problems.append("cannot be reached")

    thread = threading.Thread(target=ask, daemon=True)  # because looking up a name has no time limit
    thread.start()
    thread.join(PROBE_SECONDS)
    return problems[0] if problems else "does not answer"


if __name__ == "__main__":
    main()
