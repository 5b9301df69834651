"""Values of templates: strings, numbers, booleans, None, lists, dicts (Go's maps) and Structs."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

_LEAST_EXPONENT: Final = -4
_MOST_DIGITS: Final = 6  # before the point; beyond these two, Go shows an exponent
_OF_A_NUMBER: Final = 8


@dataclass(frozen=True, slots=True)
class Struct:
    """A value with these fields and no others; `kind` is its name in messages."""

    kind: str
    fields: Mapping[str, object]


def raw(text: str) -> bytes:
    """As Go counts it; what was no UTF-8 in a payload comes out as it went in."""
    return text.encode(errors="surrogateescape")


def truth(value: object) -> bool:
    """Empty and zero are false; a struct is true whatever is in it."""
    return isinstance(value, Struct) or bool(value)


def kind_of(value: object) -> str:
    """The value's type, by Go's name."""
    if isinstance(value, Struct):
        return value.kind
    if isinstance(value, dict):
        return "map[string]string"
    if isinstance(value, list):
        return "[]interface {}"
    names = {str: "string", bool: "bool", int: "int", float: "float64"}
    return names.get(type(value), "nil")


def shown(value: object) -> str:
    """As Go prints it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Struct):
        return "{" + " ".join(shown(v) for v in value.fields.values()) + "}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{shown(value[k])}" for k in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(shown, value)) + "]"
    return "<no value>" if value is None else str(value)


def weight(value: object) -> int:
    """How many characters it takes to show it, about."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Struct):
        return sum(map(weight, value.fields.values()))
    if isinstance(value, list):
        return sum(map(weight, value))
    if isinstance(value, dict):
        return sum(weight(key) + weight(item) for key, item in value.items())
    return _OF_A_NUMBER


def _number(value: float) -> str:
    number = Decimal(repr(value)).normalize()
    if not number or _LEAST_EXPONENT <= number.adjusted() < _MOST_DIGITS:
        return format(number, "f")
    mantissa = number.scaleb(-number.adjusted())
    return f"{mantissa:f}e{number.adjusted():+03d}"
