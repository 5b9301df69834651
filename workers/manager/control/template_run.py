"""A parsed template filled in with values (pure).

Values are strings, numbers, booleans, None, dicts (Go's maps) and Structs, whose fields are
fixed: to name another one is an error, as is a key that a map does not have.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus

from workers.manager.control.template_syntax import (
    Block,
    Node,
    Nodes,
    Operand,
    Pipeline,
    TemplateError,
    parse,
)


@dataclass(frozen=True, slots=True)
class Struct:
    """A value with these fields and no others; `kind` is its name in messages."""

    kind: str
    fields: Mapping[str, object]


def fill_in(source: str, dot: Struct) -> str:
    """The text that the template makes of those values; raises TemplateError."""
    if "{{" not in source:
        return source
    return _Run(source, dot).text(parse(source), dot)


class _Run:
    def __init__(self, source: str, dot: Struct) -> None:
        self._source = source
        self._variables: list[tuple[str, object]] = [("$", dot)]

    def text(self, nodes: Nodes, dot: object) -> str:
        mark = len(self._variables)
        made = "".join(self._node(node, dot) for node in nodes)
        del self._variables[mark:]  # what was declared inside ends here
        return made

    def _node(self, node: Node, dot: object) -> str:
        if isinstance(node, str):
            return node
        if isinstance(node, Block):
            return self._block(node, dot)
        value = self._pipeline(node, dot)
        return "" if node.variables else shown(value)

    def _block(self, block: Block, dot: object) -> str:
        mark = len(self._variables)
        value = self._pipeline(block.pipeline, dot)
        if block.keyword == "range":
            made = self._range(block, value, dot)
        elif truth(value):
            made = self.text(block.body, value if block.keyword == "with" else dot)
        else:
            made = self.text(block.otherwise, dot)
        del self._variables[mark:]
        return made

    def _range(self, block: Block, value: object, dot: object) -> str:
        if isinstance(value, dict):
            items: list[tuple[object, object]] = [(k, value[k]) for k in sorted(value)]
        elif isinstance(value, int) and not isinstance(value, bool):
            items = [(n, n) for n in range(value)]
        else:
            raise TemplateError(f"range can't iterate over {shown(value)}")
        made = [self._turn(block, key, item) for key, item in items]
        return "".join(made) if made else self.text(block.otherwise, dot)

    def _turn(self, block: Block, key: object, item: object) -> str:
        mark = len(self._variables)
        names = block.pipeline.variables
        values = (item,) if len(names) == 1 else (key, item)
        self._variables.extend(zip(names, values, strict=False))
        made = self.text(block.body, item)
        del self._variables[mark:]
        return made

    def _pipeline(self, pipeline: Pipeline, dot: object) -> object:
        value: object = None
        for number, command in enumerate(pipeline.commands):
            value = self._command(command, dot, [value] if number else [])
        for name in pipeline.variables:
            self._bind(name, value, declares=pipeline.declares)
        return value

    def _bind(self, name: str, value: object, *, declares: bool) -> None:
        if declares:
            self._variables.append((name, value))
            return
        for at in range(len(self._variables) - 1, -1, -1):
            if self._variables[at][0] == name:
                self._variables[at] = (name, value)
                return
        raise TemplateError(f"template: expansion: undefined variable {name!r}")

    def _command(self, command: tuple[Operand, ...], dot: object, piped: list[object]) -> object:
        first, *rest = command
        if first.kind == "function":
            return self._call(first, rest, dot, piped)
        if rest or piped:
            raise self._wrong(first, f"can't give argument to non-function {first.text}")
        if first.kind == "nil":
            raise self._wrong(first, "nil is not a command")
        return self._value(first, dot)

    def _call(self, name: Operand, rest: list[Operand], dot: object, piped: list[object]) -> object:
        lazy = name.value in ("and", "or")
        if lazy and (rest or piped):
            return self._first_that_decides(name, rest, dot, piped)
        function = FUNCTIONS.get(str(name.value))
        if function is None:
            line = self._source.count("\n", 0, name.at) + 1
            raise TemplateError(f'template: expansion:{line}: function "{name.value}" not defined')
        arguments = [*(self._value(operand, dot) for operand in rest), *piped]
        try:
            return function(*arguments)
        except (TypeError, ValueError, IndexError, KeyError) as error:
            raise self._wrong(name, f"error calling {name.value}: {error}") from error

    def _first_that_decides(
        self, name: Operand, rest: list[Operand], dot: object, piped: list[object]
    ) -> object:
        value: object = None
        for operand in rest:
            value = self._value(operand, dot)
            if truth(value) == (name.value == "or"):
                return value
        return piped[0] if piped else value

    def _value(self, operand: Operand, dot: object) -> object:
        if operand.kind == "function":
            return self._call(operand, [], dot, [])
        value = self._start(operand, dot)
        for name in operand.fields:
            value = self._field(operand, value, name)
        return value

    def _start(self, operand: Operand, dot: object) -> object:
        if isinstance(operand.value, Pipeline):
            return self._pipeline(operand.value, dot)
        if operand.kind == "dot":
            return dot
        if operand.kind == "variable":
            return self._variable(str(operand.value))
        return operand.value

    def _variable(self, name: str) -> object:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise TemplateError(f'template: expansion: undefined variable "{name}"')

    def _field(self, operand: Operand, value: object, name: str) -> object:
        if isinstance(value, Struct) and name in value.fields:
            return value.fields[name]
        if isinstance(value, dict):
            if name not in value:
                raise self._wrong(operand, f'map has no entry for key "{name}"')
            return value[name]
        raise self._wrong(operand, f"can't evaluate field {name} in type {kind_of(value)}")

    def _wrong(self, operand: Operand, fault: str) -> TemplateError:
        before = self._source[: operand.at]
        line = before.count("\n") + 1
        column = len(before.rpartition("\n")[2].encode())
        return TemplateError(
            f'template: expansion:{line}:{column}: executing "expansion" at <{operand.text}>: '
            f"{fault}"
        )


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
    made = form.replace("%v", "%s").replace("%q", '"%s"') % tuple(
        value if isinstance(value, int | float) and not isinstance(value, bool) else shown(value)
        for value in values
    )
    return str(made)


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
