"""How a script ends when something goes wrong that nobody foresaw: a report, no traceback, and nothing left behind."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

from classifier.errors import InputError, run, shown
from classifier.files import atomic_write
from tests.conftest import ROOT

import pytest


def ended(main) -> str:
    with pytest.raises(SystemExit) as exit:
        run(main)
    assert isinstance(exit.value.code, str), "which Python prints, and then exits with status 1"
    assert "Traceback" not in exit.value.code
    return exit.value.code


def raising(error: BaseException):
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), RecursionError(), KeyError("x"), TypeError()])
def test_what_nobody_foresaw_is_a_fault_of_this_program_with_a_report_to_send(error, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    said = ended(raising(error))
    assert said.startswith(f"error: this is a fault of this program, which did not expect {type(error).__name__}")
    [report] = tmp_path.iterdir()
    assert str(report) in said
    text = report.read_text()
    assert re.search(r"^command: \S+.*\nversions: this project at \w+.*, Python 3\.", text)
    assert "Traceback" in text
    assert "in raising" in text or "in main" in text


def test_where_no_report_can_be_written_it_is_printed(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(SystemExit) as exit:
        run(raising(ZeroDivisionError()))
    assert "with what follows" in exit.value.code
    assert "Traceback" in exit.value.code


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 TB")])
def test_too_little_memory_is_said_with_the_remedy(error):
    assert "not enough memory" in ended(raising(error))


def test_what_the_system_refuses_is_one_sentence_with_the_file(monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # which is given up where it cannot be written
    denied = OSError(errno.EACCES, os.strerror(errno.EACCES), "data/secret.json")
    assert ended(raising(denied)) == "error: data/secret.json: Permission denied."
    assert ended(raising(OSError(errno.ENOSPC, "No space left on device"))) == (
        "error: this machine: No space left on device."
    )


def test_a_fault_leaves_the_previous_file_and_no_temporary_one(tmp_path):
    (tmp_path / "result").write_bytes(b"previous")

    def main() -> None:
        with atomic_write(tmp_path / "result") as file:
            file.write(b"half")
            raise ZeroDivisionError

    ended(main)
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert (tmp_path / "result").read_bytes() == b"previous"


def test_a_script_exits_with_status_1_and_prints_any_name_in_any_locale():
    code = "from classifier.errors import run\ndef main():\n  print('caf\\udce9 é')\n  1 / 0\nrun(main)"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stdout == "caf\\udce9 \\xe9\n"
    assert done.stderr.startswith("error: this is a fault of this program")
    Path(re.search(r"file (\S+),", done.stderr)[1]).unlink()


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [("> /dev/full", 1, "error: this machine: No space left on device.\n"), ("| true", 0, "")],
)
def test_output_that_cannot_be_written_is_said_once_or_belongs_to_who_went_away(target, status, said):
    code = "import time; from classifier.errors import run; run(lambda: (time.sleep(0.5), print('x' * 99)))"
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {target}', sys.executable, code], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (status, said)


def test_bad_input_is_its_sentence():
    assert ended(raising(InputError("a.png is damaged."))) == "error: a.png is damaged."


def test_values_in_messages_are_short_printable_and_on_one_line():
    bomb = ["x"] * 9
    for _ in range(30):
        bomb = [bomb] * 9
    for value in (bomb, 10**400, 1 << 100_000, "a\n\x1b[2J", "\udce9" * 1000, {"a": {"b": "c" * 999}}):
        assert len(shown(value)) <= 160
        assert shown(value).isprintable()
