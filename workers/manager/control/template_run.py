"""A parsed template filled in with values (pure).

A Struct's fields are fixed: to name another one is an error, as is a key that a map does not have.
"""

from typing import Final

from workers.manager.control.template_functions import FUNCTIONS, Struct, kind_of, shown, truth
from workers.manager.control.template_syntax import (
    Block,
    Node,
    Nodes,
    Operand,
    Pipeline,
    TemplateError,
    parse,
)

# What a function says of arguments that it cannot take.
_MISUSE: Final = (TypeError, ValueError, LookupError, AttributeError, OverflowError)


def fill_in(source: str, dot: Struct) -> str:
    """The text that the template makes of those values; raises TemplateError."""
    if "{{" not in source:
        return source
    try:
        return _Run(source, dot).text(parse(source), dot)
    except RecursionError as error:
        raise TemplateError("template: expansion: it is nested too deep") from error


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
        # A number of turns cannot be asked for: it could be any, and all else would wait for it.
        if not isinstance(value, dict):
            raise TemplateError(f"template: expansion: range can't iterate over {shown(value)}")
        made = [self._turn(block, key, value[key]) for key in sorted(value)]
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
        except _MISUSE as error:
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
