"""Go's printf, for the values that templates have.

What does not fit is told in the text, as Go does; it is no error.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from swarmd.api.templates.values import kind_of, raw, shown

_VERB: Final = re.compile(r"%(?P<flags>[-+# 0]*[0-9]{0,3}(?:\.[0-9]{1,3})?)(?P<verb>[a-zA-Z%])")
_NUMBER: Final = re.compile(r"\d+")
_WIDEST: Final = 1_000_000


def printf(form: object, *values: object) -> str:
    """The form with its verbs filled in; raises TypeError, or ValueError for widths beyond use."""
    if not isinstance(form, str):
        raise TypeError(f"wrong type for value; expected string; got {kind_of(form)}")
    if _width(form) > _WIDEST:
        raise ValueError("its fields are too wide")
    rest = list(reversed(values))

    def put(found: re.Match[str]) -> str:
        verb = found["verb"]
        if verb == "%":
            return "%"
        return _formatted(found["flags"], verb, rest.pop()) if rest else f"%!{verb}(MISSING)"

    made = _VERB.sub(put, form)
    extra = ", ".join(f"{kind_of(value)}={shown(value)}" for value in reversed(rest))
    return f"{made}%!(EXTRA {extra})" if extra else made


def _width(form: str) -> int:
    """What flags ask for, all together: a few characters can ask for a million blanks."""
    flags = (found["flags"] for found in _VERB.finditer(form))
    return sum(int(number) for each in flags for number in _NUMBER.findall(each))


def _formatted(flags: str, verb: str, value: object) -> str:
    if verb == "v" and isinstance(value, int) and not isinstance(value, bool):
        verb = "d"
    for kind, verbs in _VERBS.items():
        if verb in verbs and type(value) is kind:
            return verbs[verb](flags, value)
    if verb in "sv":
        return f"%{flags}s" % shown(value)
    return f"%!{verb}({kind_of(value)}={shown(value)})"


def _by(python: str) -> Callable[[str, object], str]:
    return lambda flags, value: f"%{flags}{python}" % value


_VERBS: Final[Mapping[type, Mapping[str, Callable[[str, object], str]]]] = {
    str: {
        "q": lambda flags, value: f"%{flags}s" % json.dumps(value, ensure_ascii=False),
        "x": lambda flags, value: f"%{flags}s" % raw(str(value)).hex(),
    },
    bool: {"t": lambda flags, value: f"%{flags}s" % shown(value)},
    int: {verb: _by(verb) for verb in "dxXoc"},
    float: {verb: _by(verb) for verb in "eEfFgG"},
}
