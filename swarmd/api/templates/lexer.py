"""A template's text cut into plain pieces and actions, and these into tokens."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from swarmd.api.templates.budget import Budget
from swarmd.api.templates.errors import TemplateError

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


@dataclass(slots=True)
class Token:
    """A piece of an action: `kind` is the name of its group in the pattern above."""

    kind: str
    text: str
    at: int

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.at + len(self.text)


@dataclass(slots=True)
class Action:
    """What stands between {{ and }}, read from the left."""

    tokens: list[Token]
    source: str
    start: int
    next: int = 0

    def peek(self) -> Token | None:
        """The next token, which stays."""
        return self.tokens[self.next] if self.next < len(self.tokens) else None

    def take(self, kind: str, text: str = "") -> Token | None:
        """The next token, if it is of that kind (and text)."""
        token = self.peek()
        if token is None or token.kind != kind or (text and token.text != text):
            return None
        self.next += 1
        return token

    def skip_space(self) -> None:
        """Go on behind blanks."""
        self.take("space")

    def keyword(self) -> str:
        """The word that it starts with; empty where it starts otherwise."""
        token = self.peek()
        return token.text if token is not None and token.kind == "word" else ""

    def wrong(self, fault: str) -> TemplateError:
        """The fault and the line of it."""
        line = self.source.count("\n", 0, self.start) + 1
        return TemplateError(f"template: expansion:{line}: {fault}")


def pieces(source: str, budget: Budget) -> Iterator[str | Action]:
    """Text and actions in turn; a comment is neither, but trims as an action does."""
    at, trims = 0, False
    while found := _OPEN.search(source, at):
        text = source[at : found.start()].lstrip() if trims else source[at : found.start()]
        yield text.rstrip() if found[0].endswith("-") else text
        inside = found.end() + (1 if found[0].endswith("-") else 0)
        if source.startswith("/*", inside):
            at, trims = _comment(source, inside)
        else:
            action, at, trims = _action(source, found.end(), budget)
            yield action
    yield source[at:].lstrip() if trims else source[at:]


def _comment(source: str, start: int) -> tuple[int, bool]:
    end = source.find("*/", start)
    if end < 0:
        raise Action([], source, start).wrong("unclosed comment")
    close = _CLOSE.match(source, end + 2)
    if close is None:
        raise Action([], source, end).wrong("comment ends before closing delimiter")
    return close.end(), "-" in close[0]


def _action(source: str, start: int, budget: Budget) -> tuple[Action, int, bool]:
    tokens: list[Token] = []
    action, at = Action(tokens, source, start), start
    while not (close := _CLOSE.match(source, at)):
        budget.step()
        token = _TOKEN.match(source, at)
        if token is None:
            raise action.wrong(_unlexable(source, at))
        tokens.append(Token(str(token.lastgroup), token[0], at))
        at = token.end()
    action.skip_space()
    return action, close.end(), "-" in close[0]


def _unlexable(source: str, at: int) -> str:
    if at == len(source):
        return "unclosed action"
    if source[at] in "\"'`":
        return "unterminated quoted string"
    return f"unexpected bad character U+{ord(source[at]):04X} {source[at]!r} in command"
