"""What is wrong with a compose file, where, and what to do about it: one sentence."""

from collections.abc import Sequence
from typing import Final

from swarmd.errors import InvalidArgumentError

Place = tuple[str | int, ...]
"""The keys and list positions that lead to a value."""
_LONGEST: Final = 60


class ComposeError(InvalidArgumentError):
    """`compose.yml:7: services.web.ports[0]: …`; whoever knows the file and line adds them."""

    def __init__(self, reason: str, place: Place = (), *, file: str = "", line: int = 0) -> None:
        source = f"{file}:{line}" if file and line else file
        super().__init__(": ".join(part for part in (source, path(place), reason) if part))
        self.reason = reason
        self.place = place
        self.file = file


def path(place: Sequence[str | int]) -> str:
    """services.web.ports[0]"""
    text = "".join(f"[{one}]" if isinstance(one, int) else f".{shown(one)}" for one in place)
    return text.removeprefix(".")


def shown(text: str) -> str:
    """A text of the file's, fit for a line: printable, and not too long."""
    line = text if text.isprintable() else ascii(text)[1:-1]
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
