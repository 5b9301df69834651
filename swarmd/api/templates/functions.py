"""What templates can call; a function that cannot take its arguments raises what Python does."""

import inspect
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote_plus

from swarmd.api.templates.printf import printf
from swarmd.api.templates.values import Struct, kind_of, raw, shown, truth, weight

Function = Callable[..., object]

# What a function says of arguments that it cannot take.
MISUSE: Final = (TypeError, ValueError, LookupError, AttributeError, OverflowError)
_LONGEST: Final = 8_000_000
_LOOKING: Final = frozenset({"and", "index", "len", "not", "or"})


def cost(name: str, arguments: list[object]) -> int:
    """How many characters the call handles; to look into a map, nobody has to read it all."""
    if name in _LOOKING:
        return sum(len(each) for each in arguments if isinstance(each, str))
    return sum(map(weight, arguments))


def miscounted(name: str, function: Function, got: int) -> str:
    """The sentence for a wrong number of arguments; empty where it is right."""
    parameters = inspect.signature(function).parameters.values()
    least = sum(
        each.kind is not each.VAR_POSITIONAL and each.default is each.empty for each in parameters
    )
    is_open = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    if least <= got and (is_open or got <= len(parameters)):
        return ""
    at_least = "at least " if is_open or len(parameters) != least else ""
    return f"wrong number of args for {name}: want {at_least}{least} got {got}"


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(raw(value))
    if isinstance(value, dict | list):
        return len(value)
    raise TypeError(f"len of type {kind_of(value)}")


def _index(value: object, *keys: object) -> object:
    for key in keys:
        value = _item(value, key)
    return value


def _item(value: object, key: object) -> object:
    """A key that a map does not have is empty here, as in Go; only a missing field is an error."""
    if isinstance(value, dict) and isinstance(key, str):
        return value.get(key, "")
    if isinstance(value, list) and type(key) is int and 0 <= key < len(value):
        item: object = value[key]
        return item
    if not isinstance(value, str) or type(key) is not int:
        raise TypeError(f"can't index item of type {kind_of(value)}")
    octets = raw(value)
    if not 0 <= key < len(octets):
        raise IndexError(f"index out of range: {key}")
    return octets[key]


def _slice(value: object, start: int = 0, end: int | None = None) -> str:
    if not isinstance(value, str):
        raise TypeError(f"can't slice item of type {kind_of(value)}")
    octets = raw(value)
    stop = len(octets) if end is None else end
    if not 0 <= start <= stop <= len(octets):
        raise IndexError("index out of range")
    return octets[start:stop].decode(errors="surrogateescape")


def _equal(first: object, *others: object) -> bool:
    if not others:
        raise TypeError("missing argument for comparison")
    for value in (first, *others):
        if isinstance(value, dict | Struct):
            raise TypeError(f"non-comparable type {kind_of(value)}")
        if kind_of(first) != kind_of(value):
            raise TypeError("incompatible types for comparison")
    return first in others


def _less(one: object, other: object) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one < other
    if type(one) is type(other) and kind_of(one) in ("int", "float64"):
        return bool(one < other)  # type: ignore[operator]
    raise TypeError("incompatible types for comparison")


def _join(separator: object, *parts: object) -> str:
    texts = [each for each in (separator, *parts) if isinstance(each, str)]
    if len(texts) <= len(parts):
        wrong = next(each for each in (separator, *parts) if not isinstance(each, str))
        raise TypeError(f"wrong type for value; expected string; got {kind_of(wrong)}")
    if len(texts[0]) * len(parts) > _LONGEST:
        raise ValueError("the text gets too long")
    return texts[0].join(texts[1:])


def _html(*values: object) -> str:
    text = _print(*values)
    for sign, entity in (("&", "&amp;"), ("'", "&#39;"), ('"', "&#34;"), ("<", "&lt;")):
        text = text.replace(sign, entity)
    return text.replace(">", "&gt;")


def _js(*values: object) -> str:
    text = _print(*values)
    for sign in "\\'\"":
        text = text.replace(sign, "\\" + sign)
    for sign, escaped in (("<", "3C"), (">", "3E"), ("&", "26"), ("=", "3D")):
        text = text.replace(sign, "\\u00" + escaped)
    return text


def _print(*values: object) -> str:
    return "".join(shown(value) for value in values)


# Of "and" and "or", the caller evaluates what it takes to decide: here are those without a choice.
FUNCTIONS: Final[Mapping[str, Function]] = {
    "and": lambda first, *_: first,
    "or": lambda first, *_: first,
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
    "printf": printf,
    "html": _html,
    "js": _js,
    "urlquery": lambda *values: quote_plus(raw(_print(*values))),
}
