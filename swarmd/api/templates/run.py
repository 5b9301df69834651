"""A parsed template filled in with values.

A Struct's fields are fixed: to name another one is an error, as is a key that a map does not have.
"""

from collections.abc import Mapping
from typing import Final

from swarmd.api.templates.budget import Budget
from swarmd.api.templates.errors import TemplateError
from swarmd.api.templates.functions import FUNCTIONS, MISUSE, Function, cost, miscounted
from swarmd.api.templates.scope import Scope
from swarmd.api.templates.syntax import parse
from swarmd.api.templates.tree import Block, Node, Nodes, Operand, Pipeline
from swarmd.api.templates.values import Struct, kind_of, raw, shown, truth

_LONGEST_QUOTE: Final = 200


def expand(
    text: str,
    values: Struct,
    functions: Mapping[str, Function] | None = None,
    budget: Budget | None = None,
) -> str:
    """The text filled in; raises TemplateError. `functions` come beside the usual ones.

    Texts that share a budget stay within it together.
    """
    if "{{" not in text:
        return text
    known = {**FUNCTIONS, **(functions or {})}
    budget = budget or Budget()
    try:
        nodes = parse(text, known, budget)
        return _Run(text, values, known, budget).whole(nodes, values)
    except RecursionError as error:
        raise TemplateError("template: expansion: it is nested too deep") from error


class _Run:
    def __init__(
        self, source: str, values: Struct, functions: Mapping[str, Function], budget: Budget
    ) -> None:
        self._source = source
        self._functions = functions
        self._budget = budget
        self._made: list[str] = []
        self._scope = Scope()
        self._scope.declare("$", values)

    def whole(self, nodes: Nodes, dot: object) -> str:
        self._nodes(nodes, dot)
        return "".join(self._made)

    def _nodes(self, nodes: Nodes, dot: object) -> None:
        with self._scope.block():
            for node in nodes:
                self._node(node, dot)

    def _node(self, node: Node, dot: object) -> None:
        self._budget.step()
        if isinstance(node, str):
            self._write(node)
        elif isinstance(node, Block):
            with self._scope.block():
                self._block(node, dot)
        else:
            value = self._pipeline(node, dot)
            if not node.variables:
                self._budget.spend(0 if isinstance(value, str) else cost("print", [value]))
                self._write(shown(value))

    def _write(self, text: str) -> None:
        self._budget.spend(len(text))
        self._made.append(text)

    def _block(self, block: Block, dot: object) -> None:
        if block.keyword == "range":
            self._range(block, dot)
            return
        value = self._pipeline(block.pipeline, dot)
        if truth(value):
            self._nodes(block.body, value if block.keyword == "with" else dot)
        else:
            self._nodes(block.otherwise, dot)

    def _range(self, block: Block, dot: object) -> None:
        # A number of turns cannot be asked for: it could be any, and all else would wait for it.
        items = self._result(block.pipeline, dot)
        if isinstance(items, list):
            items = dict(enumerate(items))
        if not isinstance(items, dict):
            fault = f"range can't iterate over {_quote(shown(items))}"
            raise self._wrong(block.pipeline.commands[0][0], fault)
        self._budget.spend(len(items))
        for key in sorted(items):
            with self._scope.block():
                self._turn(block, key, items[key])
        if not items:
            self._nodes(block.otherwise, dot)

    def _turn(self, block: Block, key: object, item: object) -> None:
        names = block.pipeline.variables
        values = (item,) if len(names) == 1 else (key, item)
        for name, value in zip(names, values, strict=False):
            self._bind(name, value, declares=block.pipeline.declares)
        self._nodes(block.body, item)

    def _pipeline(self, pipeline: Pipeline, dot: object) -> object:
        value = self._result(pipeline, dot)
        for name in pipeline.variables:
            self._bind(name, value, declares=pipeline.declares)
        return value

    def _result(self, pipeline: Pipeline, dot: object) -> object:
        value: object = None
        for number, command in enumerate(pipeline.commands):
            value = self._command(command, dot, [value] if number else [])
        return value

    def _bind(self, name: str, value: object, *, declares: bool) -> None:
        bind = self._scope.declare if declares else self._scope.assign
        bind(name, value)

    def _command(self, command: tuple[Operand, ...], dot: object, piped: list[object]) -> object:
        first, *rest = command
        if first.kind == "function":
            return self._call(first, rest, dot, piped)
        value = self._value(first, dot) if first.kind != "nil" else None
        if callable(value):  # a method, as in {{.Label "a"}}
            try:
                return value(*(self._value(operand, dot) for operand in rest), *piped)
            except MISUSE as error:
                name = first.fields[-1]
                raise self._wrong(first, f"error calling {name}: {error}") from error
        if rest or piped:
            shown_first = _quote(self._text(first))
            raise self._wrong(first, f"can't give argument to non-function {shown_first}")
        if first.kind == "nil":
            raise self._wrong(first, "nil is not a command")
        return value

    def _call(self, at: Operand, rest: list[Operand], dot: object, piped: list[object]) -> object:
        name = str(at.value)
        if name in ("and", "or") and rest:
            return self._first_that_decides(name, rest, dot, piped)
        arguments = [*(self._value(operand, dot) for operand in rest), *piped]
        self._budget.spend(cost(name, arguments))
        try:
            made = self._functions[name](*arguments)
        except MISUSE as error:
            wrong_number = miscounted(name, self._functions[name], len(arguments))
            raise self._wrong(at, wrong_number or f"error calling {name}: {error}") from error
        self._budget.spend(len(made) if isinstance(made, str) else 0)
        return made

    def _first_that_decides(
        self, name: str, rest: list[Operand], dot: object, piped: list[object]
    ) -> object:
        value: object = None
        for operand in rest:
            value = self._value(operand, dot)
            if truth(value) == (name == "or"):
                return value
        return piped[0] if piped else value

    def _value(self, operand: Operand, dot: object) -> object:
        self._budget.step()
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
            return self._scope[str(operand.value)]
        return operand.value

    def _field(self, operand: Operand, value: object, name: str) -> object:
        if isinstance(value, Struct) and name in value.fields:
            return value.fields[name]
        if isinstance(value, dict):
            if name not in value:
                raise self._wrong(operand, f'map has no entry for key "{name}"')
            return value[name]
        raise self._wrong(operand, f"can't evaluate field {name} in type {kind_of(value)}")

    def _text(self, operand: Operand) -> str:
        return self._source[operand.start : operand.end]

    def _wrong(self, operand: Operand, fault: str) -> TemplateError:
        before = self._source[: operand.at]
        line = before.count("\n") + 1
        column = len(raw(before.rpartition("\n")[2]))
        return TemplateError(
            f"template: expansion:{line}:{column}: "
            f'executing "expansion" at <{_quote(self._text(operand))}>: {fault}'
        )


def _quote(text: str) -> str:
    """A text for a message, which has to stay readable."""
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."
