"""Shell blocks of Markdown files: what they say to type, and what they say is printed.

A block marked `console` holds commands, each after `$ `, and below each what it prints; a block without a mark holds
commands only. In what is printed, … stands for anything, and numbers, ids and names of experiments and names of
digits for any others: another kind of machine rounds differently, and may find another class to be the worst.
"""

import re
import subprocess
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from tests.clones import Clone

# A piece of expected output, and what may be printed in its place.
PIECES = {
    "…": ".*?",
    r"[0-9a-f]{7} \[[a-z-]+\]": r"[0-9a-f]{7} \[[a-z-]+\]",
    r"-?\d[\d.,]*(?:e-?\d+)?": r"-?\d[\d.,]*(?:e-?\d+)?",
    r"\b(?:zero|one|two|three|four|five|six|seven|eight|nine)\b": r"\w+",
    r"\s+": r"\s+",
}


class Command(NamedTuple):
    line: int  # in the file, from 1
    text: str
    output: str


def read_blocks(path: Path) -> list[list[Command]]:
    """The shell blocks of a Markdown file, in order."""
    blocks, block, mark = [], None, None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            if mark is None:
                mark, block = line[3:].strip(), []
            else:
                if mark in ("", "console"):
                    blocks.append(block)
                mark = None
        elif mark == "" and line.strip():
            block.append(Command(number, line, ""))
        elif mark == "console" and line.startswith("$ "):
            block.append(Command(number, line[2:], ""))
        elif mark == "console":
            block[-1] = block[-1]._replace(output=f"{block[-1].output}{line}\n")
    return blocks


def pattern(output: str) -> re.Pattern[str]:
    """What the output of a command must contain to be what the file says."""
    parts = re.split(f"({'|'.join(PIECES)})", output.strip())  # literal text, a piece, literal text …
    replaced = [next(new for old, new in PIECES.items() if re.fullmatch(old, piece)) for piece in parts[1::2]]
    literal = [re.escape(text) for text in parts[::2]]
    return re.compile("".join(f"{a}{b}" for a, b in zip_longest(literal, replaced, fillvalue="")), re.DOTALL)


class Shell:
    """One shell in which commands run after each other, as someone types them."""

    END = "--- end of command ---"

    def __init__(self, clone: Clone):
        self.process = clone.start("bash", "--noprofile", "--norc", stdin=subprocess.PIPE)

    def run(self, command: str) -> tuple[str, int]:
        """What a command prints, and its exit status."""
        self.process.stdin.write(f"{{ {command}\n}} < /dev/null\nprintf '%s %d\\n' '{self.END}' $?\n")
        self.process.stdin.flush()
        printed = []
        for line in self.process.stdout:
            before, end, status = line.partition(self.END)
            printed.append(before)
            if end:
                return "".join(printed), int(status)
        raise AssertionError(f"the shell ended with {command!r}:\n{''.join(printed)}")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
