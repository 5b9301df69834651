"""${NAME} in a compose file's values, filled in from the environment (pure).

$NAME  ${NAME}           its value; nothing where it is not set
${NAME:-default}         … the default where it is not set, or empty
${NAME-default}          … the default where it is not set
${NAME:?why}  ${NAME?why}    … an error that says why, in the same two cases
$$                       a dollar sign
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from swarmd.ctl.compose.errors import ComposeError, Place, shown

_NAME: Final = "[_a-zA-Z][_a-zA-Z0-9]*"
_VARIABLE: Final = re.compile(
    rf"\$(?:(\$)|({_NAME})|\{{({_NAME})(?:(:?[-?])([^}}]*))?\}}|)", re.ASCII
)


class Filled(str):
    """Text that a variable changed: where a number or true/false belongs it may stand for one."""

    __slots__ = ()


def fill_in(value: Any, environment: Mapping[str, str], place: Place = ()) -> Any:
    """The value with its variables replaced, keys left alone; raises ComposeError."""
    if isinstance(value, str):
        filled = substitute(value, environment, place)
        return value if filled == value else Filled(filled)
    if isinstance(value, dict):
        return {key: fill_in(one, environment, (*place, key)) for key, one in value.items()}
    if isinstance(value, list):
        return [fill_in(one, environment, (*place, i)) for i, one in enumerate(value)]
    return value


def substitute(text: str, environment: Mapping[str, str], place: Place = ()) -> str:
    """One text; raises ComposeError for a `$` that begins no variable, or a missing one."""

    def value(found: re.Match[str]) -> str:
        escaped, plain, name, operator, rest = found.groups()
        if escaped:
            return "$"
        if not (plain or name):
            near = shown(text[found.start() : found.start() + 30])
            raise ComposeError(f"no variable begins at {near!r}; write $$ for a $ itself", place)
        if rest and "${" in rest:
            raise ComposeError(f"{shown(found[0])!r}: a default cannot hold a variable", place)
        return _value(environment.get(plain or name), name, operator or "", rest or "", place)

    return _VARIABLE.sub(value, text)


def _value(value: str | None, name: str, operator: str, rest: str, place: Place) -> str:
    is_missing = not value if operator.startswith(":") else value is None
    if operator.endswith("?") and is_missing:
        why = f": {rest}" if rest else ""
        raise ComposeError(f"the variable {name} has to be set{why}", place)
    if operator.endswith("-") and is_missing:
        return rest
    return value or ""
