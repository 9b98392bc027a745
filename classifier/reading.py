"""A YAML file that people write, read within limits: whatever is in it, there is a value or one sentence."""

from pathlib import Path
from typing import Any

from classifier.dialect import UniqueKeyLoader
from classifier.errors import InputError, one_line
from classifier.files import read_file

import yaml

MAX_BYTES = 1_000_000
MAX_ALIASES = 100  # `*name`; some dozen of them, nested, stand for a billion values
MAX_MERGED = 1000  # keys of a mapping after `<<`, which copies them


class _BoundedLoader(UniqueKeyLoader):
    """Refuses what is small as a text and would be huge as a value."""

    aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MAX_ALIASES:
                raise yaml.composer.ComposerError(None, None, f"it has more than {MAX_ALIASES} aliases")
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MAX_MERGED:
            raise yaml.constructor.ConstructorError(
                None, None, f"a mapping has more than {MAX_MERGED} keys", node.start_mark
            )


def read_yaml(path: str | Path) -> Any:
    """What a YAML file holds. Tags that would build other objects than YAML's own are refused.

    Raises:
        InputError: if it is not there, no file, cannot be read, is too large, or is not valid YAML.
    """
    try:
        content = read_file(path, MAX_BYTES)
    except FileNotFoundError:
        raise InputError(f"{path} not found: run from the repository root.") from None
    try:
        return yaml.load(content.decode(), Loader=_BoundedLoader)
    except RecursionError:
        raise InputError(f"{path} is not valid YAML: it is nested too deeply.") from None
    except Exception as error:  # dates that do not exist, tags without a value: its constructors raise nearly anything
        raise InputError(f"{path} is not valid YAML: {one_line(error)}") from None
