"""Which recipe and which values suit data/ and this machine, each with its reason, and what is odd in the data.

Nothing changes without --write, which puts the recipe with these values into params.yaml.

    python scripts/recommend.py [--write] [--all]
"""

import argparse
import io
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from classifier.config import load_params
from classifier.data.layouts import open_dataset
from classifier.data.oddities import Oddity, oddities
from classifier.data.survey import Survey, survey
from classifier.errors import InputError, run
from classifier.files import atomic_write
from classifier.paths import DATA, PARAMS
from classifier.reproducibility import select_device
from classifier.training.advice import Advice, Machine, advise

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

WIDTH = 96  # of a line, where no path is longer
SHOWN = 4  # examples of each oddity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the recommendation into params.yaml")
    parser.add_argument("--all", action="store_true", help="decode every image, however long it takes")
    arguments = parser.parse_args()
    dataset = open_dataset(DATA)
    if not dataset.splits["train"].count:
        raise InputError(f"{DATA}/ has no images to train on: put some into its train split, see docs/own-data.md.")
    found, machine = survey(dataset, arguments.all), describe_machine()
    advice = advise(found, machine)
    text, changed = fill_in(advice)
    print_advice(found, machine, advice, changed)
    print_oddities(found, oddities(found))
    if arguments.write:
        write(text, advice)
    else:
        print(f"\nNothing is changed; with --write, {advice.recipe} with these values becomes {PARAMS}.")


def describe_machine() -> Machine:
    device = select_device()
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return Machine(device.type, name, torch.get_num_threads())


def fill_in(advice: Advice) -> tuple[str, dict[str, Any]]:
    """The recipe's text with the chosen values; and by key, what the recipe had in place of those that differ."""
    yaml = round_trip()
    document = yaml.load(advice.recipe.read_text(encoding="utf-8"))
    changed = {}
    for choice in advice.choices:
        *parents, name = choice.key.split(".")
        section = document
        for parent in parents:
            section = section[parent]
        if section[name] != choice.value:
            changed[choice.key] = section[name]
            section[name] = flow(choice.value)
    buffer = io.StringIO()
    yaml.dump(document, buffer)
    note = (
        f"By scripts/recommend.py from {advice.recipe}, changed: {', '.join(changed)}. Figures below are the recipe's."
    )
    lines = textwrap.wrap(note, 118, break_long_words=False) if changed else []
    return "".join(f"# {line}\n" for line in lines) + buffer.getvalue(), changed


def round_trip() -> YAML:
    """A reader and writer that keeps comments, order and quotes."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    return yaml


def flow(value: Any) -> Any:
    """`value`, of which a mapping will be written in one line."""
    if isinstance(value, dict):
        value = CommentedMap(value)
        value.fa.set_flow_style()
    return value


def print_advice(found: Survey, machine: Machine, advice: Advice, changed: dict[str, Any]) -> None:
    numbers = ", ".join(f"{split} {found.counts(split).sum():,}" for split in found.own_splits)
    print(f"{DATA}/: {found.layout}, {len(found.classes)} classes; images: {numbers}")
    print(f"this machine: {machine.device} ({machine.name}), {machine.cores} core(s)\n")
    print(wrapped(f"I would take {advice.recipe}. {advice.reason}.", ""))
    for choice in advice.choices:
        had = f"(recipe: {changed[choice.key]}) " if choice.key in changed else ""
        print(wrapped(f"{had}{choice.reason}.", f"  {choice.key:<22} {short(choice.value):<9} "))
    if advice.to_check:
        print("\nFor you to decide:")
    for line in advice.to_check:
        print(wrapped(line, "- "))


def print_oddities(found: Survey, odd: list[Oddity]) -> None:
    seen = f"{found.decoded:,} different images looked at"
    if found.decoded < found.distinct:
        seen += f", a sample of {found.distinct:,}: near-duplicates of the others are not found; --all looks at each"
    print("\n" + wrapped(f"Odd in the data ({seen}):" + ("" if odd else " nothing."), ""))
    for oddity in odd:
        print(wrapped(f"{oddity.what}. {oddity.so}", "- "))
        for example in oddity.examples[:SHOWN]:
            print(f"    {example}")
        if len(oddity.examples) > SHOWN:
            print(f"    and {len(oddity.examples) - SHOWN:,} more")


def wrapped(text: str, start: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_long_words=False)


def short(value: Any) -> str:
    return "{}" if value == {} else str(value)


def write(text: str, advice: Advice) -> None:
    """Make `text` params.yaml, and say what that changes.

    Raises:
        InputError: if `text` is not valid, or what stands there cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        checked = Path(folder, PARAMS)
        checked.write_text(text, encoding="utf-8")
        try:
            load_params("train", checked)
        except InputError as error:
            named = str(error).replace(str(checked), f"{advice.recipe} with these values", 1)
            raise InputError(f"{named}\nNothing was written: mend the recipe.") from None
    old, new = dict(flat(read(PARAMS))), dict(flat(YAML(typ="safe").load(text)))
    with atomic_write(PARAMS) as file:
        file.write(text.encode())
    print(f"\nwrote {PARAMS}, from {advice.recipe}:")
    for line in differences(old, new):
        print(f"  {line}")


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What differs between two files, as `flat` has them; a mapping that is empty in one shows by the other's keys."""
    missing = "(nothing)"
    for key in old | new:
        before, after = old.get(key, missing), new.get(key, missing)
        filled = {} in (before, after) and any(other.startswith(f"{key}.") for other in old | new)
        if before != after and not filled:
            yield f"{key}: {short(before)} → {short(after)}"


def read(path: Path) -> Any:
    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except Exception:  # what is no YAML makes its reader raise nearly anything
        raise InputError(f"{path} is not valid YAML, and was not replaced: mend or remove it.") from None


def flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a nested mapping with their keys, `section.key`."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from flat(inner, f"{key}.{name}" if key else str(name))
    elif key:
        yield key, value


if __name__ == "__main__":
    run(main)
