"""A YAML file's bytes to plain values, with the line of each: bounded in size, depth and growth.

The parser's events are put together here, since PyYAML's own constructor lets the last of two
like keys win, and follows YAML 1.1, where `yes` is true, `22:22` is 1342 and 2020-01-01 a date.
Docker's parser does neither.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from swarmd.ctl.compose.errors import ComposeError, Place, shown

MOST_BYTES: Final = 4 << 20
MOST_VALUES: Final = 200_000
"""So many values, each counted wherever an alias repeats it; a thousand services have half."""
MOST_DEPTH: Final = 64
_LONGEST_NUMBER: Final = 32
_CORE: Final = "tag:yaml.org,2002:"
_Parser: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS: Final = {"true": True, "True": True, "TRUE": True} | dict.fromkeys(
    ("false", "False", "FALSE"), False
)
_INT: Final = re.compile(
    r"([-+]?)(?:0b([01_]+)|0o([0-7_]+)|0x([0-9a-fA-F_]+)|0([0-7_]+)|([0-9_]+))"
)
_BASES: Final = (2, 8, 16, 8, 10)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its name, what it says, and on which line each of its values begins."""

    name: str
    value: Any
    lines: dict[Place, int] = field(default_factory=dict)

    def nearest(self, place: Place) -> Place:
        """That place where the file has it, else the one around it that it has."""
        while place and place not in self.lines:
            place = place[:-1]
        return place

    def line(self, place: Place) -> int:
        """Of the value there, or of the nearest one around it."""
        return self.lines.get(self.nearest(place), 0)


@dataclass(slots=True)
class _Node:
    """A value as written; `items` are a list's, or a mapping's, whose keys stand in `keys`."""

    line: int
    value: Any = None
    keys: list["_Node"] | None = None
    items: list["_Node"] | None = None
    values: int = 1
    """How many it is, written out."""


def read(name: str, data: bytes) -> Document:
    """Raises ComposeError, with line and column where the text is no YAML."""
    if len(data) > MOST_BYTES:
        most = MOST_BYTES >> 20
        raise ComposeError(f"is too long: a compose file may have {most} MiB", file=name)
    text = decode(name, data)
    try:
        root = _Composer(yaml.parse(text, Loader=_Parser)).document()
    except yaml.MarkedYAMLError as error:
        raise ComposeError(_problem(error, text), file=name) from error
    except yaml.YAMLError as error:
        raise ComposeError(f"is not YAML: {str(error).splitlines()[0]}", file=name) from error
    except _RefusedError as error:
        raise ComposeError(error.reason, file=name, line=error.line) from error
    lines: dict[Place, int] = {}
    try:
        return Document(name, _plain(root, (), lines), lines)
    except _RefusedError as error:
        raise ComposeError(error.reason, file=name, line=error.line) from error


def decode(name: str, data: bytes) -> str:
    """Text of a file; raises ComposeError with the line that is none."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ComposeError("is not UTF-8 text", file=name, line=line) from error


def _problem(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return f"is not YAML: {error.problem or error.context}"
    lines = text.split("\n")
    around = lines[mark.line][: mark.column + 1] if mark.line < len(lines) else ""
    where = f"line {mark.line + 1}, column {mark.column + 1}"
    if "\t" in around and not around.strip():
        return f"is not YAML: {where}: a tab; YAML is indented with spaces"
    return f"is not YAML: {where}: {error.problem or error.context}"


class _RefusedError(Exception):
    """Sound YAML, but not for a compose file."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class _Composer:
    """Events to nodes; an alias is the node itself, once more."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, _Node] = {}
        self._depth = 0
        self._read = 0

    def document(self) -> _Node:
        next(self._events)  # the stream's start
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise _RefusedError("is empty", 0)
        root = self._node(next(self._events))
        next(self._events)  # the document's end
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _RefusedError("holds more than one document", event.start_mark.line + 1)
        return root

    def _node(self, event: Any) -> _Node:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, line)
        self._read += 1
        if self._read > MOST_VALUES:
            raise _RefusedError(f"has more than {MOST_VALUES} values", line)
        node = _Node(line)
        if isinstance(event, yaml.ScalarEvent):
            node.value = _scalar(event, line)
        else:
            self._collection(event, node)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, anchor: str | None, line: int) -> _Node:
        if anchor is None or anchor not in self._anchors:
            raise _RefusedError(f"there is no anchor &{shown(anchor or '')} before this", line)
        return self._anchors[anchor]

    def _collection(self, event: Any, node: _Node) -> None:
        _check_tag(event, ("map",) if isinstance(event, yaml.MappingStartEvent) else ("seq",))
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise _RefusedError(f"is nested more than {MOST_DEPTH} deep", node.line)
        found = list(self._until_end())
        self._depth -= 1
        node.values = 1 + sum(one.values for one in found)
        if node.values > MOST_VALUES:
            raise _RefusedError(
                f"has more than {MOST_VALUES} values, aliases written out", node.line
            )
        if isinstance(event, yaml.MappingStartEvent):
            node.keys, node.items = found[::2], found[1::2]
        else:
            node.items = found

    def _until_end(self) -> Iterator[_Node]:
        for event in self._events:
            if isinstance(event, yaml.CollectionEndEvent):
                return
            yield self._node(event)


def _scalar(event: Any, line: int) -> Any:
    _check_tag(event, ("str", "int", "float", "bool", "null"))
    wanted = event.tag.removeprefix(_CORE) if event.tag not in (None, "!") else ""
    if wanted == "str" or (not wanted and not event.implicit[0]):
        return event.value
    value = resolve(event.value)
    kinds = {"int": int, "float": float, "bool": bool, "null": type(None)}
    if wanted and type(value) is not kinds[wanted]:
        raise _RefusedError(f"{shown(event.value)!r} is not what its tag !!{wanted} says", line)
    return value


def _check_tag(event: Any, allowed: tuple[str, ...]) -> None:
    if event.tag not in (None, "!", *(_CORE + name for name in allowed)):
        tag = event.tag.replace(_CORE, "!!")
        raise _RefusedError(f"the tag {shown(tag)} means nothing here", event.start_mark.line + 1)


def resolve(text: str) -> Any:
    """What a plain scalar is, by YAML 1.2's core schema, with 0640 as an octal number."""
    if text in _NULL:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if len(text) <= _LONGEST_NUMBER:
        if found := _INT.fullmatch(text):
            return _whole(found, text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _SPECIAL.fullmatch(text):
            return float(text.replace(".", "", 1))
    return text


def _whole(found: re.Match[str], text: str) -> int | str:
    digits, base = next(
        (group, base) for group, base in zip(found.groups()[1:], _BASES, strict=True) if group
    )
    digits = digits.replace("_", "")
    return int(found[1] + digits, base) if digits else text


def _plain(node: _Node, place: Place, lines: dict[Place, int]) -> Any:
    """The value itself. An alias is written out, so that each place has a line."""
    lines[place] = node.line
    if node.items is None:
        return node.value
    if node.keys is None:
        return [_plain(one, (*place, index), lines) for index, one in enumerate(node.items)]
    found: dict[str, Any] = {}
    merged: list[_Node] = []
    for key, one in zip(node.keys, node.items, strict=True):
        if key.value == "<<" and key.items is None:
            merged.append(one)
            continue
        name = _key(key)
        if name in found:
            raise _RefusedError(f"the key {shown(name)!r} is there twice", key.line)
        found[name] = _plain(one, (*place, name), lines)
    for name, one in _merged(merged):
        if name not in found:
            found[name] = _plain(one, (*place, name), lines)
    return found


def _key(key: _Node) -> str:
    if key.items is not None or not isinstance(key.value, str):
        what = "a list or mapping" if key.items is not None else repr(key.value)
        raise _RefusedError(f"{what} is no key: keys are text; put it in quotes", key.line)
    return key.value


def _merged(sources: list[_Node]) -> Iterator[tuple[str, _Node]]:
    """What `<<` brings in: of a mapping, or of each in a list, where the earlier one wins."""
    for source in sources:
        for one in [source] if source.keys is not None else source.items or [source]:
            if one.keys is None or one.items is None:
                raise _RefusedError("<< takes a mapping, or a list of mappings", one.line)
            inner = [(key, item) for key, item in zip(one.keys, one.items, strict=True)]
            yield from ((_key(key), item) for key, item in inner if key.value != "<<")
            yield from _merged([item for key, item in inner if key.value == "<<"])
