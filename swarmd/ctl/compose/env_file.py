"""Files of NAME=VALUE lines, as Docker reads them (pure).

Quotes are part of a value, nothing is expanded, and a name alone takes its value from the
environment, if it has one there.
"""

from collections.abc import Mapping

from swarmd.ctl.compose.errors import ComposeError, shown
from swarmd.ctl.compose.reading import decode


def parse(name: str, data: bytes, environment: Mapping[str, str]) -> dict[str, str]:
    """What the file sets, the last of two like names; raises ComposeError."""
    found: dict[str, str] = {}
    for number, line in enumerate(decode(name, data).split("\n"), 1):
        text = line.removesuffix("\r").lstrip()
        if not text or text.startswith("#"):
            continue
        key, sign, value = text.partition("=")
        if not key or " " in key or "\t" in key or "\0" in text:
            raise ComposeError(f"{shown(text)!r} is not NAME=VALUE", file=name, line=number)
        if sign:
            found[key] = value
        elif key in environment:
            found[key] = environment[key]
    return found
