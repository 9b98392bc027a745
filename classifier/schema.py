"""A section of a YAML file as the values of a dataclass, and all that is wrong with it."""

import math
import re
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args, get_origin, get_type_hints

from classifier.errors import key_shown, nearest, shown

import yaml

Transforms = dict[str, dict[str, Any]]
ClassWeights = dict[str, float] | Literal["balanced"]


LARGEST = 2**32  # of whole numbers: seeds are smaller, and nothing else comes near


class Must(NamedTuple):
    """A condition on a value, and how to say it."""

    text: str
    holds: Callable[[Any], bool]


def validate(section: dict, schema: type, name: str, problems: list[str]) -> dict:
    """Convert `section` by the fields of `schema`; append what is wrong to `problems`.

    Raises:
        TypeError: if a field of `schema` is of a type that is not in CONVERTERS.
    """
    known = [field.name for field in fields(schema)]
    hints = get_type_hints(schema, include_extras=True)
    for key in section:
        if key not in known:
            problems.append(f"{name}.{key_shown(key)}: unknown key, {nearest(key, known)}")
    values = {}
    for key in known:
        if key not in section:
            problems.append(f"{name}.{key}: this key is missing")
            continue
        hint, must = hints[key], None
        if get_origin(hint) is Annotated:
            hint, must = get_args(hint)
        if not (convert := _converter(hint)):
            raise TypeError(f"{schema.__name__}.{key}: CONVERTERS of {__name__} has nothing for the type {hint}")
        try:
            values[key] = convert(section[key])
        except ValueError as error:
            problems.append(f"{name}.{key}: {error}")
            continue
        if must and not must.holds(values[key]):
            problems.append(f"{name}.{key}: must be {must.text}, not {shown(section[key])}")
            del values[key]
    return values


def _converter(hint: Any) -> Callable[[Any], Any] | None:
    """What makes a value of the type `hint`, or raises a ValueError that says what it should be."""
    if get_origin(hint) is Literal:
        return partial(_choice, get_args(hint))
    return CONVERTERS.get(hint)


def _choice(choices: tuple[str, ...], value: Any) -> str:
    if value in choices:
        return value
    raise ValueError(f"must be one of {', '.join(choices)}, not {shown(value)}")


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"must be true or false, not {shown(value)}")


def _whole_number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"must be a whole number, not {shown(value)}")
    if abs(value) >= LARGEST:
        raise ValueError(f"must be a whole number below {LARGEST}, not {shown(value)}")
    return value


def _text(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"must be text, not {shown(value)}")


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            raise ValueError(f"must be a number, not {shown(value)}") from None
        if not math.isfinite(number):
            raise ValueError(f"must be finite, not {shown(value)}")
        if "e" not in value or value != repr(number):  # DVC itself writes small numbers so: 1e-05
            raise ValueError(f"is the text {shown(value)} to YAML, not a number: write {_yaml_float(number)}")
        value = number
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, not {shown(value)}")
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"must be finite, not {shown(value)}")
    return number


def _yaml_float(number: float) -> str:
    """`number` in a form that YAML 1.1 reads as a float: it wants a dot before the exponent."""
    text = repr(number)
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


def _transforms(value: Any) -> Transforms:
    if not isinstance(value, dict):
        raise ValueError("must be a mapping such as {RandomHorizontalFlip: {p: 0.5}}, or {}")
    for name, arguments in value.items():
        if arguments is not None and not isinstance(arguments, dict):
            raise ValueError(
                f"the arguments of {key_shown(name)} must be a mapping such as {{p: 0.5}}, not {shown(arguments)}"
            )
    return {str(name): dict(arguments or {}) for name, arguments in value.items()}


def _class_weights(value: Any) -> ClassWeights:
    if value == "balanced":
        return value
    if not isinstance(value, dict):
        raise ValueError(f"must be {{}}, a mapping such as {{cat: 2.0}}, or balanced, not {shown(value)}")
    weights = {}
    for name, weight in value.items():
        if isinstance(name, NotText):
            raise ValueError(
                f"{name or 'the empty name'} is no text to DVC: write '{name}', in quotes, if a class is called so"
            )
        try:
            weights[name] = _number(weight)
        except ValueError as error:
            raise ValueError(f"the weight of class {shown(name)} {error}") from None
        if weights[name] <= 0:
            raise ValueError(f"the weight of class {shown(name)} must be greater than 0, not {shown(weight)}")
    return weights


CONVERTERS: dict[Any, Callable[[Any], Any]] = {
    bool: _truth,
    int: _whole_number,
    float: _number,
    str: _text,
    Transforms: _transforms,
    ClassWeights: _class_weights,
}


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
