"""Go's template syntax, as far as specs may use it: text to tree (pure).

    template = { text | action }            action   = "{{" … "}}", "{{- … -}}" trims blanks
    action   = pipeline | if | with | range, each closed by "end", with "else" between
    pipeline = [ $x [ "," $y ] ":=" ] command { "|" command }
    command  = operand { operand }          operand  = .Field  $x  "text"  1  name  ( pipeline )

define, block, template, break and continue are not there: no field of a spec has use for them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final


class TemplateError(Exception):
    """The template is at fault, at parsing or when filled in."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A value: `kind` is dot, variable, literal, nil, function or pipeline; then its fields."""

    kind: str
    value: object
    fields: tuple[str, ...]
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each of which gets the result of the one before; the last may be named."""

    variables: tuple[str, ...]
    declares: bool
    commands: tuple[tuple[Operand, ...], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """An if, with or range, and its else."""

    keyword: str
    pipeline: Pipeline
    body: "Nodes"
    otherwise: "Nodes"


Node = str | Pipeline | Block
Nodes = tuple[Node, ...]

_BLOCKS: Final = frozenset({"if", "with", "range"})
_REFUSED: Final = frozenset({"define", "block", "template", "break", "continue"})
_OPEN: Final = re.compile(r"\{\{(?:-(?=\s))?")
_CLOSE: Final = re.compile(r"(?:\s+-)?\}\}")
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<field>\.[^\W\d]\w*)
      | (?P<number>[+-]?\.?\d[\w.]*(?:(?<=[eEpP])[+-]\d+)?)
      | (?P<dot>\.)
      | (?P<variable>\$\w*)
      | (?P<string>"(?:\\.|[^"\\\n])*"|`[^`]*`)
      | (?P<char>'(?:\\.|[^'\\\n])+')
      | (?P<word>[^\W\d]\w*)
      | (?P<sign>:=|[=|(),])""",
    re.VERBOSE,
)
_HEX: Final = "[0-9a-fA-F]"
_ESCAPE: Final = re.compile(rf"\\(?:x{_HEX}{{2}}|u{_HEX}{{4}}|U{_HEX}{{8}}|[0-7]{{3}}|.)")
_LAST_CHARACTER: Final = 0x10FFFF
_HALVES: Final = range(0xD800, 0xE000)  # of pairs that only UTF-16 has
_PLAIN_ESCAPES: Final = dict(zip("ntrabfv\\'\"", "\n\t\r\a\b\f\v\\'\"", strict=True))


@dataclass(slots=True)
class _Token:
    kind: str
    text: str
    at: int


@dataclass(slots=True)
class _Action:
    tokens: list[_Token]
    source: str
    start: int
    next: int = field(default=0)

    def peek(self) -> _Token | None:
        return self.tokens[self.next] if self.next < len(self.tokens) else None

    def take(self, kind: str, text: str = "") -> _Token | None:
        token = self.peek()
        if token is None or token.kind != kind or (text and token.text != text):
            return None
        self.next += 1
        return token

    def skip_space(self) -> None:
        self.take("space")

    def wrong(self, fault: str) -> TemplateError:
        line = self.source.count("\n", 0, self.start) + 1
        return TemplateError(f"template: expansion:{line}: {fault}")


def parse(source: str) -> Nodes:
    """The template's tree; raises TemplateError."""
    nodes, closing = _nodes(_pieces(source))
    if closing is not None:
        raise closing.wrong(f"unexpected {{{{{closing.tokens[0].text}}}}}")
    return nodes


def _pieces(source: str) -> Iterator[str | _Action]:
    """Text and actions in turn; a comment is neither, but trims as an action does."""
    at, trims = 0, False
    while found := _OPEN.search(source, at):
        text = source[at : found.start()].lstrip() if trims else source[at : found.start()]
        yield text.rstrip() if found[0].endswith("-") else text
        inside = found.end() + (1 if found[0].endswith("-") else 0)
        if source.startswith("/*", inside):
            at, trims = _comment(source, inside)
        else:
            action, at, trims = _action(source, found.end())
            yield action
    yield source[at:].lstrip() if trims else source[at:]


def _comment(source: str, start: int) -> tuple[int, bool]:
    end = source.find("*/", start)
    if end < 0:
        raise _Action([], source, start).wrong("unclosed comment")
    close = _CLOSE.match(source, end + 2)
    if close is None:
        raise _Action([], source, end).wrong("comment ends before closing delimiter")
    return close.end(), "-" in close[0]


def _action(source: str, start: int) -> tuple[_Action, int, bool]:
    tokens: list[_Token] = []
    action, at = _Action(tokens, source, start), start
    while not (close := _CLOSE.match(source, at)):
        token = _TOKEN.match(source, at)
        if token is None:
            raise action.wrong(_unlexable(source, at))
        tokens.append(_Token(str(token.lastgroup), token[0], at))
        at = token.end()
    action.skip_space()
    return action, close.end(), "-" in close[0]


def _unlexable(source: str, at: int) -> str:
    if at == len(source):
        return "unclosed action"
    if source[at] in "\"'`":
        return "unterminated quoted string"
    return f"unexpected bad character U+{ord(source[at]):04X} {source[at]!r} in command"


def _nodes(pieces: Iterator[str | _Action]) -> tuple[Nodes, _Action | None]:
    """What stands up to the next else or end, and that action; None at the end of the text."""
    nodes: list[Node] = []
    for piece in pieces:
        if isinstance(piece, str):
            nodes.append(piece)
            continue
        word = piece.peek()
        name = word.text if word is not None and word.kind == "word" else ""
        if name in ("else", "end"):
            return tuple(nodes), piece
        if name in _REFUSED:
            raise piece.wrong(f"{{{{{name}}}}} is not supported in a spec")
        nodes.append(_block(name, piece, pieces) if name in _BLOCKS else _whole_pipeline(piece))
    return tuple(nodes), None


def _block(keyword: str, action: _Action, pieces: Iterator[str | _Action]) -> Block:
    action.next += 1
    pipeline = _whole_pipeline(action)
    body, closing = _nodes(pieces)
    otherwise: Nodes = ()
    if closing is not None and closing.tokens[closing.next].text == "else":
        closing.next += 1
        closing.skip_space()
        inner = closing.peek()
        if inner is not None:
            if inner.text not in ("if", "with"):
                raise closing.wrong(f"unexpected <{inner.text}> in {{{{else}}}}")
            return Block(keyword, pipeline, body, (_block(inner.text, closing, pieces),))
        otherwise, closing = _nodes(pieces)
    if closing is None:
        raise action.wrong("unexpected EOF")
    return Block(keyword, pipeline, body, otherwise)


def _whole_pipeline(action: _Action) -> Pipeline:
    pipeline = _pipeline(action)
    rest = action.peek()
    if rest is not None:
        raise action.wrong(f"unexpected <{rest.text}> in command")
    return pipeline


def _pipeline(action: _Action) -> Pipeline:
    variables, declares = _declaration(action)
    commands = [_command(action)]
    while action.take("sign", "|"):
        commands.append(_command(action))
    return Pipeline(variables, declares, tuple(commands))


def _declaration(action: _Action) -> tuple[tuple[str, ...], bool]:
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


def _command(action: _Action) -> tuple[Operand, ...]:
    operands: list[Operand] = []
    action.skip_space()
    while operand := _operand(action):
        operands.append(operand)
        following = action.peek()
        if following is not None and following.kind not in ("space", "sign"):
            raise action.wrong(f"unexpected {following.text} in operand")
        action.skip_space()
    if not operands:
        raise action.wrong("missing value for command")
    return tuple(operands)


def _operand(action: _Action) -> Operand | None:
    start, token = action.next, action.peek()
    if token is None:
        return None
    kind, value = _value(action, token)
    if not kind:
        return None
    fields = [token.text[1:]] if token.kind == "field" else []
    at = token.at
    while link := action.take("field"):
        at = link.at if len(fields) <= 1 else at  # where Go says it is, too
        fields.append(link.text[1:])
    if fields and kind in ("literal", "nil", "function"):
        raise action.wrong(f"unexpected . after term {token.text!r}")
    text = "".join(t.text for t in action.tokens[start : action.next])
    return Operand(kind, value, tuple(fields), text, at)


def _value(action: _Action, token: _Token) -> tuple[str, object]:
    """Kind and value of the operand that begins with that token; kind "" where none does."""
    if token.kind == "sign":
        return _parenthesised(action) if token.text == "(" else ("", None)
    if token.kind == "space":
        return "", None
    action.next += 1
    if token.kind in ("field", "dot"):
        return "dot", None
    if token.kind == "variable":
        return "variable", token.text
    if token.kind == "word":
        return _word(token.text)
    return "literal", _literal(action, token)


def _parenthesised(action: _Action) -> tuple[str, object]:
    action.take("sign", "(")
    pipeline = _pipeline(action)
    if not action.take("sign", ")"):
        raise action.wrong("unclosed left paren")
    return "pipeline", pipeline


def _word(word: str) -> tuple[str, object]:
    if word in ("true", "false"):
        return "literal", word == "true"
    return ("nil", None) if word == "nil" else ("function", word)


def _literal(action: _Action, token: _Token) -> object:
    if token.kind == "number":
        return _number(action, token.text)
    if token.text[0] == "`":
        return token.text[1:-1]
    text = _ESCAPE.sub(_unescape, token.text[1:-1])
    return ord(text[0]) if token.kind == "char" else text


def _number(action: _Action, text: str) -> int | float:
    for read in (lambda: int(text, 0), lambda: int(text), lambda: float(text)):
        try:
            return read()
        except ValueError:
            continue
    raise action.wrong(f"bad number syntax: {text!r}")


def _unescape(found: re.Match[str]) -> str:
    code = found[0][1:]
    if code[0] in "xuU" and len(code) > 1:
        return _character(int(code[1:], 16))
    if len(code) > 1:
        return _character(int(code, 8))
    if code not in _PLAIN_ESCAPES:
        raise TemplateError(f"template: expansion: invalid escape {found[0]}")
    return _PLAIN_ESCAPES[code]


def _character(number: int) -> str:
    if number > _LAST_CHARACTER or number in _HALVES:
        raise TemplateError(f"template: expansion: U+{number:04X} is no character")
    return chr(number)
