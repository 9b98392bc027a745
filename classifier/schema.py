"""A section of a YAML file as the values of a dataclass, and all that is wrong with it."""

import math
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from classifier.dialect import NotText
from classifier.errors import key_shown, nearest, shown

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
