"""Go's text/template, as much of it as task specs use; pure.

Text with actions in `{{ }}`: fields (`.Service.Name`), strings, numbers, true and false, calls of
functions (`index .Service.Labels "k"`), pipes, parentheses, comments, trim markers (`{{-`, `-}}`),
and if, else if, else, end. Loops, variables and nested templates are refused.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

Function = Callable[..., Any]
Value = Callable[[Any, Mapping[str, Function]], Any]
"""An expression, to be given the context and the functions."""


class TemplateError(ValueError):
    """The text is no template, or asks for what is not there; says what."""


class Struct(dict[str, Any]):
    """Named fields. Asking for another one is a mistake in the template, unlike with a map."""


_ACTION: Final = re.compile(r"\{\{")
_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<end>(?<=\s)-\}\}\s*|\}\})
    | (?P<comment>/\*.*?\*/)
    | (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
    | (?P<number>[+-]?\d+(?![\w.]))
    | (?P<field>(?:\.[A-Za-z_]\w*)+|\.)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<mark>[()|])
    )""",
    re.VERBOSE | re.DOTALL,
)
_TRIM: Final = re.compile(r"-(?=\s)")
_REFUSED: Final = frozenset({"range", "with", "define", "block", "template", "break", "continue"})
_CONSTANTS: Final = {"true": True, "false": False, "nil": None}
_DEEPEST: Final = 50

Token = tuple[str, str]
Piece = str | list[Token]
"""Plain text, or the tokens of one action."""


def render(text: str, context: Any, functions: Mapping[str, Function]) -> str:
    """The text with its actions filled in; raises TemplateError."""
    pieces = list(_pieces(text))
    parts, rest = _block(pieces, 0, depth=0)
    if rest < len(pieces):
        raise TemplateError(f"{{{{{_word(pieces[rest])}}}}} without {{{{if}}}}")
    return "".join(part(context, functions) for part in parts)


def show(value: Any) -> str:
    """A value as Go prints it."""
    match value:
        case None:
            return "<no value>"
        case bool():
            return "true" if value else "false"
        case Struct():
            return "{" + " ".join(show(each) for each in value.values()) + "}"
        case Mapping():
            return f"map[{' '.join(f'{key}:{show(value[key])}' for key in sorted(value))}]"
        case _:
            return str(value)


def _pieces(text: str) -> Iterator[Piece]:
    """Text and actions in turn, with the space that trim markers take away left out."""
    position, trim = 0, False
    while found := _ACTION.search(text, position):
        plain, position = text[position : found.start()], found.end()
        if marker := _TRIM.match(text, position):
            plain, position = plain.rstrip(), marker.end()
        yield plain.lstrip() if trim else plain
        tokens, position, trim = _action(text, position)
        if tokens:
            yield tokens
    yield text[position:].lstrip() if trim else text[position:]


def _action(text: str, position: int) -> tuple[list[Token], int, bool]:
    """The tokens of the action that starts here, where it ends, whether it trims what follows."""
    tokens: list[Token] = []
    is_comment = False
    while found := _TOKEN.match(text, position):
        kind, position = str(found.lastgroup), found.end()
        if kind == "end":
            if not tokens and not is_comment:
                raise TemplateError("an action is empty")
            return tokens, position, found["end"].startswith("-")
        if kind == "comment":
            is_comment = True
        else:
            tokens.append((kind, found[kind]))
    rest = text[position : position + 10].strip()
    raise TemplateError(f"unexpected {rest!r}" if rest else "an action is not closed by }}")


def _word(piece: Piece) -> str:
    """The keyword that an action starts with; empty for text and other actions."""
    return piece[0][1] if isinstance(piece, list) and piece[0][0] == "word" else ""


Part = Callable[[Any, Mapping[str, Function]], str]


def _block(pieces: Sequence[Piece], at: int, depth: int) -> tuple[list[Part], int]:
    """What to print from here to the next else or end, and where that is."""
    if depth > _DEEPEST:
        raise TemplateError("nested too deeply")
    parts: list[Part] = []
    while at < len(pieces):
        piece, word = pieces[at], _word(pieces[at])
        if word in ("else", "end"):
            break
        at += 1
        if isinstance(piece, str):
            parts.append(_constant(piece))
        elif word == "if":
            part, at = _condition(pieces, piece[1:], at, depth)
            parts.append(part)
        else:
            parts.append(_printed(_Parser(piece).whole()))
    return parts, at


def _condition(
    pieces: Sequence[Piece], tokens: list[Token], at: int, depth: int
) -> tuple[Part, int]:
    """From behind `if` to behind its `end`."""
    asked = _Parser(tokens).whole()
    then, at = _block(pieces, at, depth + 1)
    otherwise: list[Part] = []
    if at < len(pieces) and _word(pieces[at]) == "else":
        rest = pieces[at][1:]
        if rest and rest[0] == (
            "word",
            "if",
        ):  # `else if` is an if inside the else, one end for both
            part, at = _condition(pieces, list(rest[1:]), at + 1, depth + 1)  # type: ignore[arg-type]
            return _either(asked, then, [part]), at
        otherwise, at = _block(pieces, at + 1, depth + 1)
    if at >= len(pieces) or _word(pieces[at]) != "end":
        raise TemplateError("{{if}} without {{end}}")
    return _either(asked, then, otherwise), at + 1


def _either(asked: Value, then: list[Part], otherwise: list[Part]) -> Part:
    def part(context: Any, functions: Mapping[str, Function]) -> str:
        chosen = then if asked(context, functions) else otherwise
        return "".join(each(context, functions) for each in chosen)

    return part


def _constant(text: str) -> Part:
    return lambda _context, _functions: text


def _printed(value: Value) -> Part:
    return lambda context, functions: show(value(context, functions))


class _Parser:
    """One action's tokens to an expression."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Value:
        value = self._pipeline()
        if self._at < len(self._tokens):
            raise TemplateError(f"unexpected {self._tokens[self._at][1]!r}")
        return value

    def _pipeline(self) -> Value:
        value = self._command(None)
        while self._take("|"):
            value = self._command(value)
        return value

    def _command(self, piped: Value | None) -> Value:
        """A function with its arguments, the piped one last; or one value."""
        kind, text = self._peek()
        if kind == "word" and text not in _CONSTANTS:
            self._at += 1
            return _call(text, [*self._operands(), *([piped] if piped else [])])
        operands = list(self._operands())
        if not operands:
            raise TemplateError(f"a value is missing before {text!r}" if text else "it is empty")
        if piped or len(operands) > 1:
            raise TemplateError(f"{text} is not a function")
        return operands[0]

    def _operands(self) -> Iterator[Value]:
        while True:
            kind, text = self._peek()
            match kind:
                case "string":
                    yield _value(_unquoted(text))
                case "number":
                    yield _value(int(text))
                case "field":
                    yield _field([name for name in text.split(".") if name])
                case "word" if text in _CONSTANTS:
                    yield _value(_CONSTANTS[text])
                case "word":
                    yield _call(text, [])
                case "mark" if text == "(":
                    yield self._parenthesis()
                    continue
                case _:
                    return
            self._at += 1

    def _parenthesis(self) -> Value:
        self._at += 1
        self._depth += 1
        if self._depth > _DEEPEST:
            raise TemplateError("nested too deeply")
        value = self._pipeline()
        if not self._take(")"):
            raise TemplateError("a parenthesis is not closed")
        self._depth -= 1
        return value

    def _peek(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def _take(self, mark: str) -> bool:
        taken = self._peek() == ("mark", mark)
        self._at += taken
        return taken


def _value(constant: Any) -> Value:
    return lambda _context, _functions: constant


def _call(name: str, arguments: Sequence[Value]) -> Value:
    if name in _REFUSED:
        raise TemplateError(f"{name} is not supported here")

    def value(context: Any, functions: Mapping[str, Function]) -> Any:
        if name not in functions:
            raise TemplateError(f"there is no function {name}")
        try:
            return functions[name](*(each(context, functions) for each in arguments))
        except TypeError as error:
            raise TemplateError(f"{name} cannot take these arguments") from error

    return value


def _field(names: Sequence[str]) -> Value:
    def value(context: Any, _functions: Mapping[str, Function]) -> Any:
        found = context
        for name in names:
            if not isinstance(found, Mapping):
                raise TemplateError(f"there is nothing in it called {name}: .{'.'.join(names)}")
            if name not in found:
                raise TemplateError(f"there is no .{'.'.join(names)}")
            found = found[name]
        return found

    return value


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError) as error:
        raise TemplateError(f"bad string {text}") from error
