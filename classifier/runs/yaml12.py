"""YAML as DVC reads it, with libyaml's parser: ten times as fast, which hundreds of dvc.lock files need.

DVC reads and writes with ruamel.yaml, YAML 1.2. Its rules for what a plain scalar means are taken over here, so that
`1e-3` is a number and `no` a text, as they are there.
"""

from typing import Any

import yaml
from ruamel.yaml.resolver import implicit_resolvers

YAMLError = yaml.YAMLError
BASES = {"0b": 2, "0o": 8, "0x": 16}
MAX_DEPTH = 100  # libyaml recurses, and would take the process down with it where the stack ends
OPENING = ("[", "{", "- ", "? ")  # what nests without indentation


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's loader with the scalars of YAML 1.2; a key written twice is an error, as for ruamel.yaml."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}  # noqa: RUF012 (PyYAML's name and form)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)

    def construct_int(self, node: yaml.ScalarNode) -> int:
        text = node.value.replace("_", "")
        digits = text.lstrip("+-")
        return int(text, BASES.get(digits[:2].lower(), 10))


for versions, tag, pattern, firsts in implicit_resolvers:
    if (1, 2) in versions:
        for first in firsts:
            Loader.yaml_implicit_resolvers.setdefault(first, []).append((str(tag), pattern))
Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_int)


def load(content: bytes | str) -> Any:
    """The one document in `content`.

    Raises:
        YAMLError: if it is not YAML, or nested too deeply. Bytes that are not UTF-8 are no YAML, either.
    """
    text = content if isinstance(content, str) else content.decode(errors="replace")
    if sum(map(text.count, OPENING)) > MAX_DEPTH or len(text) > MAX_DEPTH**3:
        _require_shallow(content)
    return yaml.load(content, Loader)


def _require_shallow(content: bytes | str) -> None:
    depth = 0
    for event in yaml.parse(content, Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise YAMLError("it is nested too deeply")
