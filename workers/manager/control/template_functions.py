"""The values and the functions that a template can use (pure).

Values are strings, numbers, booleans, None, dicts (Go's maps) and Structs.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus

_VERB: Final = re.compile(r"%(?P<flags>[-+# 0]*[0-9]{0,3}(?:\.[0-9]{1,3})?)(?P<verb>[a-zA-Z%])")


@dataclass(frozen=True, slots=True)
class Struct:
    """A value with these fields and no others; `kind` is its name in messages."""

    kind: str
    fields: Mapping[str, object]


def truth(value: object) -> bool:
    """Empty and zero are false; a struct is true whatever is in it."""
    return isinstance(value, Struct) or bool(value)


def kind_of(value: object) -> str:
    """The value's type, by Go's name."""
    if isinstance(value, Struct):
        return value.kind
    if isinstance(value, dict):
        return "map[string]string"
    names = {str: "string", bool: "bool", int: "int", float: "float64"}
    return names.get(type(value), "nil")


def shown(value: object) -> str:
    """As Go prints it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Struct):
        return "{" + " ".join(shown(v) for v in value.fields.values()) + "}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{shown(value[k])}" for k in sorted(value)) + "]"
    return "<no value>" if value is None else str(value)


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict):
        return len(value)
    raise TypeError(f"len of type {kind_of(value)}")


def _index(value: object, *keys: object) -> object:
    for key in keys:
        if isinstance(value, dict) and isinstance(key, str):
            value = value.get(key, "")
        elif isinstance(value, str) and isinstance(key, int):
            value = value.encode()[key]
        else:
            raise TypeError(f"can't index item of type {kind_of(value)}")
    return value


def _slice(value: object, start: int = 0, end: int | None = None) -> str:
    if not isinstance(value, str):
        raise TypeError(f"can't slice item of type {kind_of(value)}")
    raw = value.encode()
    stop = len(raw) if end is None else end
    if not 0 <= start <= stop <= len(raw):
        raise IndexError("index out of range")
    return raw[start:stop].decode(errors="replace")


def _equal(first: object, *others: object) -> bool:
    if not others:
        raise TypeError("missing argument for comparison")
    for other in others:
        if kind_of(first) != kind_of(other):
            raise TypeError("incompatible types for comparison")
    return first in others


def _less(one: object, other: object) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one < other
    if kind_of(one) == kind_of(other) and isinstance(one, int | float):
        return one < float(str(other))
    raise TypeError("incompatible types for comparison")


def _join(separator: str, *parts: str) -> str:
    return separator.join(parts)


def _printf(form: str, *values: object) -> str:
    """What does not fit is told in the text, as Go does; it is no error."""
    rest = list(values)

    def put(found: re.Match[str]) -> str:
        verb = found["verb"]
        if verb == "%":
            return "%"
        return _formatted(found["flags"], verb, rest.pop(0)) if rest else f"%!{verb}(MISSING)"

    made = _VERB.sub(put, form)
    extra = ", ".join(f"{kind_of(value)}={shown(value)}" for value in rest)
    return f"{made}%!(EXTRA {extra})" if extra else made


def _formatted(flags: str, verb: str, value: object) -> str:
    if verb in "sv":
        return f"%{flags}s" % shown(value)
    if verb == "q" and isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if (verb in "dxXoc" and is_whole) or (verb in "eEfFgG" and isinstance(value, float)):
        return f"%{flags}{verb}" % value
    return f"%!{verb}({kind_of(value)}={shown(value)})"


def _html(*values: object) -> str:
    text = _print(*values)
    for sign, entity in (("&", "&amp;"), ("'", "&#39;"), ('"', "&#34;"), ("<", "&lt;")):
        text = text.replace(sign, entity)
    return text.replace(">", "&gt;")


def _js(*values: object) -> str:
    text = _print(*values)
    for sign in "\\'\"":
        text = text.replace(sign, "\\" + sign)
    return text.replace("<", "\\u003C").replace(">", "\\u003E").replace("&", "\\u0026")


def _print(*values: object) -> str:
    return "".join(shown(value) for value in values)


FUNCTIONS: Final[Mapping[str, Callable[..., object]]] = {
    "and": lambda first: first,
    "or": lambda first: first,
    "not": lambda value: not truth(value),
    "len": _length,
    "index": _index,
    "slice": _slice,
    "eq": _equal,
    "ne": lambda one, other: not _equal(one, other),
    "lt": _less,
    "le": lambda one, other: _less(one, other) or _equal(one, other),
    "gt": lambda one, other: _less(other, one),
    "ge": lambda one, other: not _less(one, other),
    "join": _join,
    "print": _print,
    "println": lambda *values: " ".join(shown(value) for value in values) + "\n",
    "printf": _printf,
    "html": _html,
    "js": _js,
    "urlquery": lambda *values: quote_plus(_print(*values)),
}
