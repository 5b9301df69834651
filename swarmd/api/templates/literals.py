"""Numbers, strings and characters as templates write them."""

import math
import re
from typing import Final

from swarmd.api.templates.lexer import Action, Token

_HEX: Final = "[0-9a-fA-F]"
_ESCAPE: Final = re.compile(rf"\\(?:x{_HEX}{{2}}|u{_HEX}{{4}}|U{_HEX}{{8}}|[0-7]{{3}}|.)")
_LAST_CHARACTER: Final = 0x10FFFF
_HALVES: Final = range(0xD800, 0xE000)  # of pairs that only UTF-16 has
_PLAIN_ESCAPES: Final = dict(zip("ntrabfv\\'\"", "\n\t\r\a\b\f\v\\'\"", strict=True))
_INTEGERS: Final = range(-(2**63), 2**63)
_OLD_OCTAL: Final = re.compile(r"([+-]?)0([0-7]+)")
_WHOLE: Final = re.compile(r"[+-]?\d+")


def literal(action: Action, token: Token) -> object:
    """What the token says; raises TemplateError."""
    if token.kind == "number":
        return _number(action, token.text)
    if token.text[0] == "`":
        return token.text[1:-1]
    text = _ESCAPE.sub(lambda found: _unescape(action, found[0]), token.text[1:-1])
    if token.kind == "string":
        return text
    if len(text) != 1:
        raise action.wrong(f"malformed character constant: {token.text}")
    return ord(text)


def _number(action: Action, text: str) -> int | float:
    if (whole := _whole(text)) is not None:
        if whole not in _INTEGERS:
            raise action.wrong(f'integer overflow: "{text}"')
        return whole
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    if math.isinf(number) or _WHOLE.fullmatch(text):
        raise action.wrong(f'bad number syntax: "{text}"')
    return number


def _whole(text: str) -> int | None:
    try:
        return int(_OLD_OCTAL.sub(r"\g<1>0o\2", text), 0)
    except ValueError:
        return None


def _unescape(action: Action, escape: str) -> str:
    code = escape[1:]
    if code[0] in "xuU" and len(code) > 1:
        return _character(action, int(code[1:], 16))
    if len(code) > 1:
        return _character(action, int(code, 8))
    if code not in _PLAIN_ESCAPES:
        raise action.wrong(f"invalid escape {escape}")
    return _PLAIN_ESCAPES[code]


def _character(action: Action, number: int) -> str:
    if number > _LAST_CHARACTER or number in _HALVES:
        raise action.wrong(f"U+{number:04X} is no character")
    return chr(number)
