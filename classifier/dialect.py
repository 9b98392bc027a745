"""YAML as DVC reads it: what a file says to training is what DVC records of it, or it is refused."""

import re
from typing import ClassVar

from classifier.errors import shown

import yaml

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
# What a scalar can be without a tag of its own.
_IMPLICIT = {_TEXT, *(tag for resolvers in yaml.SafeLoader.yaml_implicit_resolvers.values() for tag, _ in resolvers)}
# Numbers that YAML 1.1 (here) and YAML 1.2 (DVC) read alike.
_SAME_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+)\Z"),
    "tag:yaml.org,2002:float": re.compile(
        r"([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z"
    ),
}
# Without quotes, DVC takes these for null, a truth, a number or a date.
_NOT_TEXT_TO_DVC = re.compile(
    r"|~|null|Null|NULL|true|True|TRUE|false|False|FALSE"
    r"|[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9_]+)([eE][-+]?[0-9]+)?"
    r"|[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?0x[0-9a-fA-F_]+|[-+][0-9_]+"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    r"|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?([Tt \t].*)?"
)
_SAME_DIGITS = re.compile(r"0|-?[1-9][0-9]*")  # but a number that DVC records as it was written may be a name


class NotText(str):
    """A key as it was written, which DVC does not take for text: `010` is 10 to it, and `null` is nothing."""


class UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that agrees with DVC, which reads YAML 1.2, on what stands in a file, or says so.

    Keys are the text that was written, `NotText` where DVC makes something else of it; one that stands twice is
    refused, where YAML would keep the last one silently. Only `true` and `false` are booleans, so that a class may be
    called `no` or `off`. `010` and `1:30`, which are 8 and 90 here and 10 and text to DVC, are no numbers.
    """

    # PyYAML itself sets it on classes, as here; its stubs take it for an attribute of instances.
    yaml_implicit_resolvers: ClassVar = {  # type: ignore[misc]
        first: [
            (tag, _SAME_NUMBERS.get(tag, pattern))
            for tag, pattern in resolvers
            if first in "tTfF" or tag != "tag:yaml.org,2002:bool"
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        own = [key for key, _ in node.value if key.tag != _MERGE]  # `<<: *anchor` may stand beside what it brings
        seen = set()
        for key in map(_written, own):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {shown(str(key.value))} stands twice", key.start_mark
                )
            seen.add(key.value)
        self.flatten_mapping(node)
        node.value = [(_written(key), value) for key, value in node.value]
        return super().construct_mapping(node, deep)


def _written(key: yaml.Node) -> yaml.ScalarNode:
    """A key's node whose value is the text that was written."""
    if not isinstance(key, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(None, None, "a list or mapping cannot be a key", key.start_mark)
    value = str(key.value)
    if key.style is None:  # it has no quotes
        other = _NOT_TEXT_TO_DVC.fullmatch(value) and not _SAME_DIGITS.fullmatch(value)
        other = other or key.tag not in _IMPLICIT
    else:
        other = key.tag != _TEXT
    return yaml.ScalarNode(_TEXT, NotText(value) if other else value, key.start_mark, key.end_mark, key.style)
