"""Go's template syntax, as far as specs may use it: text to tree.

    template = { text | action }            action   = "{{" … "}}", "{{- … -}}" trims blanks
    action   = pipeline | if | with | range, each closed by "end", with "else" between
    pipeline = [ $x [ "," $y ] ":=" ] command { "|" command }
    command  = operand { operand }          operand  = .Field  $x  "text"  1  name  ( pipeline )

define, block, template, break and continue are not there: no field of a spec has use for them.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

from swarmd.api.templates.budget import Budget
from swarmd.api.templates.lexer import Action, Token, pieces
from swarmd.api.templates.literals import literal
from swarmd.api.templates.scope import Scope
from swarmd.api.templates.tree import Block, Node, Nodes, Operand, Pipeline

_BLOCKS: Final = frozenset({"if", "with", "range"})
_REFUSED: Final = frozenset({"define", "block", "template", "break", "continue"})
_NAMES_OF_A_RANGE: Final = 2  # a key and what stands at it
_DEEPEST: Final = 50  # blocks and parentheses in each other; filling in goes as deep


def parse(source: str, functions: Collection[str], budget: Budget) -> Nodes:
    """The template's tree, which calls these functions only; raises TemplateError."""
    return _Parser(pieces(source, budget), functions).whole()


class _Parser:
    def __init__(self, found: Iterator[str | Action], functions: Collection[str]) -> None:
        self._pieces = found
        self._functions = functions
        self._scope = Scope()
        self._scope.declare("$")
        self._depth = 0

    def whole(self) -> Nodes:
        nodes, closing = self._nodes()
        if closing is not None:
            raise closing.wrong(f"unexpected {{{{{closing.tokens[closing.next].text}}}}}")
        return nodes

    def _nodes(self) -> tuple[Nodes, Action | None]:
        """What stands up to the next else or end, and that action; None at the end of the text."""
        nodes: list[Node] = []
        with self._scope.block():
            for piece in self._pieces:
                if isinstance(piece, str):
                    nodes.extend([piece] if piece else [])
                elif piece.keyword() in ("else", "end"):
                    return tuple(nodes), piece
                else:
                    nodes.append(self._node(piece))
        return tuple(nodes), None

    def _node(self, action: Action) -> Node:
        name = action.keyword()
        if name in _REFUSED:
            raise action.wrong(f"{{{{{name}}}}} is not supported in a spec")
        return self._block(name, action) if name in _BLOCKS else self._pipeline(action, "command")

    def _block(self, keyword: str, action: Action) -> Block:
        action.next += 1
        with self._deeper(action), self._scope.block():
            pipeline = self._pipeline(action, keyword)
            body, closing = self._nodes()
            otherwise: Nodes = ()
            if closing is not None and closing.keyword() == "else":
                otherwise, closing = self._otherwise(keyword, closing)
        if closing is None:
            raise action.wrong("unexpected EOF")
        if closing.keyword() == "else":
            raise closing.wrong("expected end; found {{else}}")
        return Block(keyword, pipeline, body, otherwise)

    def _otherwise(self, keyword: str, action: Action) -> tuple[Nodes, Action | None]:
        """What comes behind an else; one `end` closes an `else if` and the if before it."""
        action.next += 1
        action.skip_space()
        inner = action.peek()
        if inner is None:
            return self._nodes()
        if inner.text != keyword or keyword == "range":
            raise action.wrong(f"unexpected <{inner.text}> in {{{{else}}}}")
        return (self._block(keyword, action),), Action([], action.source, action.start)

    def _pipeline(self, action: Action, context: str) -> Pipeline:
        """The pipeline that an action is, or has behind its keyword."""
        pipeline = self._commands(action, context)
        rest = action.peek()
        if rest is not None:
            raise action.wrong(f"unexpected <{rest.text}> in {context}")
        return pipeline

    def _commands(self, action: Action, context: str) -> Pipeline:
        names, declares = _declaration(action)
        if len(names) > (_NAMES_OF_A_RANGE if context == "range" else 1):
            raise action.wrong(f"too many declarations in {context}")
        commands = [self._command(action)]
        while action.take("sign", "|"):
            commands.append(self._command(action))
        for name in names:
            self._name(action, name, declares=declares)
        return Pipeline(names, declares, tuple(commands))

    def _name(self, action: Action, name: str, *, declares: bool) -> None:
        if declares:
            self._scope.declare(name)
        elif name not in self._scope:
            raise action.wrong(f'undefined variable "{name}"')

    def _command(self, action: Action) -> tuple[Operand, ...]:
        operands: list[Operand] = []
        action.skip_space()
        while operand := self._operand(action):
            operands.append(operand)
            following = action.peek()
            if following is not None and following.kind not in ("space", "sign"):
                raise action.wrong(f"unexpected {following.text} in operand")
            action.skip_space()
        if not operands:
            raise action.wrong("missing value for command")
        return tuple(operands)

    def _operand(self, action: Action) -> Operand | None:
        token = action.peek()
        if token is None or token.kind == "space":
            return None
        kind, value = self._value(action, token)
        if not kind:
            return None
        fields = [token.text[1:]] if token.kind == "field" else []
        at = token.at
        while link := action.take("field"):
            at = link.at if len(fields) <= 1 else at  # where Go says it is, too
            fields.append(link.text[1:])
        if fields and kind in ("literal", "nil", "function"):
            raise action.wrong(f"unexpected . after term {token.text!r}")
        end = action.tokens[action.next - 1].end
        return Operand(kind, value, tuple(fields), token.at, end, at)

    def _value(self, action: Action, token: Token) -> tuple[str, object]:
        """Kind and value of the operand that begins with that token; kind "" where none does."""
        if token.kind == "sign":
            return self._parenthesised(action) if token.text == "(" else ("", None)
        action.next += 1
        if token.kind in ("field", "dot"):
            return "dot", None
        if token.kind == "variable":
            self._name(action, token.text, declares=False)
            return "variable", token.text
        if token.kind == "word":
            return self._word(action, token.text)
        return "literal", literal(action, token)

    def _parenthesised(self, action: Action) -> tuple[str, object]:
        action.next += 1
        with self._deeper(action):
            pipeline = self._commands(action, "parenthesized pipeline")
        if not action.take("sign", ")"):
            raise action.wrong("unclosed left paren")
        return "pipeline", pipeline

    def _word(self, action: Action, word: str) -> tuple[str, object]:
        if word in ("true", "false"):
            return "literal", word == "true"
        if word == "nil":
            return "nil", None
        if word not in self._functions:
            raise action.wrong(f'function "{word}" not defined')
        return "function", word

    @contextmanager
    def _deeper(self, action: Action) -> Iterator[None]:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise action.wrong("it is nested too deep")
        yield
        self._depth -= 1


def _declaration(action: Action) -> tuple[tuple[str, ...], bool]:
    """The names that the pipeline gives to its value, and whether they are new."""
    start = action.next
    names: list[str] = []
    action.skip_space()
    while variable := action.take("variable"):
        names.append(variable.text)
        action.skip_space()
        sign = action.take("sign", ":=") or action.take("sign", "=")
        if sign:
            return tuple(names), sign.text == ":="
        if not action.take("sign", ","):
            break
        action.skip_space()
    action.next = start  # these were operands
    return (), False
