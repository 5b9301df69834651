"""What a value of a compose file may look like, and its one canonical form (pure).

A shape reads a value: it checks its type, and turns every short way to write it into the long
one, so that what comes after knows one form alone. format.py is built of them.
"""
# ruff: noqa: ARG002 - shapes are called alike; some have nothing to note

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Protocol

import durationpy

from swarmd.ctl.compose.errors import ComposeError, Place, shown
from swarmd.ctl.compose.variables import Filled

INT64_MAX: Final = (1 << 63) - 1
_MOST_SECONDS: Final = INT64_MAX / 1e9
_FEW: Final = 12
_GO_PLAIN: Final = range(-4, 6)
"""The exponents for which Go prints a float without one."""
_FLAGS: Final = dict.fromkeys(("y", "yes", "true", "on"), True) | dict.fromkeys(
    ("n", "no", "false", "off"), False
)
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+) ?([kmgtp]?)(?:i?b)?", re.ASCII)


@dataclass(slots=True)
class Notes:
    """What a file says that is not honoured: each key with the places where it stands."""

    ignored: dict[str, list[Place]] = field(default_factory=dict)


class Shape(Protocol):
    """`wanted` is how people call it; `read` raises ComposeError."""

    @property
    def wanted(self) -> str: ...

    def read(self, value: Any, place: Place, notes: Notes) -> Any: ...


def wrong(shape: Shape, value: Any, place: Place) -> ComposeError:
    """… must be a list, not text."""
    hint = ""
    if shape.wanted.startswith("text") and isinstance(value, bool | int | float):
        hint = ": put it in quotes"
    return ComposeError(f"must be {shape.wanted}, not {_kind(value)}{hint}", place)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool | int | float):
        return shown(str(value).lower())
    if isinstance(value, str):
        return f"the text {shown(value)!r}"
    return "a list" if isinstance(value, list) else "a mapping"


def placed(turn: Callable[[Any], Any], value: Any, place: Place) -> Any:
    """What it makes of the value; its ComposeError gets the place."""
    try:
        return turn(value)
    except ComposeError as error:
        raise ComposeError(error.reason, (*place, *error.place)) from error


@dataclass(frozen=True, slots=True)
class Text:
    """Text, of these `choices` alone where there are some; any case where `folded`."""

    choices: tuple[str, ...] = ()
    folded: bool = False
    pattern: str = ""

    @property
    def wanted(self) -> str:
        return f"one of {', '.join(self.choices)}" if self.choices else "text"

    def read(self, value: Any, place: Place, notes: Notes) -> str:
        if not isinstance(value, str):
            raise wrong(self, value, place)
        text = value.lower() if self.folded else str(value)
        if self.choices and text not in self.choices:
            raise wrong(self, value, place)
        if self.pattern and not re.fullmatch(self.pattern, text, re.ASCII):
            raise ComposeError(f"{shown(text)!r} is no name here", place)
        if "\0" in text:
            raise ComposeError("holds a zero byte", place)
        return text


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number; text that a variable made counts too, octal with a 0 in front."""

    least: int = 0
    most: int = INT64_MAX

    @property
    def wanted(self) -> str:
        return "a whole number"

    def read(self, value: Any, place: Place, notes: Notes) -> int:
        if isinstance(value, Filled) and re.fullmatch(r"-?[0-9]{1,20}", value, re.ASCII):
            value = int(value, 8 if re.fullmatch("0[0-7]+", value) else 10)
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong(self, value, place)
        if not self.least <= value <= self.most:
            raise ComposeError(f"must be between {self.least} and {self.most}, not {value}", place)
        return value


@dataclass(frozen=True, slots=True)
class Number:
    """Any number that is one."""

    @property
    def wanted(self) -> str:
        return "a number"

    def read(self, value: Any, place: Place, notes: Notes) -> float:
        if isinstance(value, Filled):
            try:
                value = float(value)
            except ValueError as error:
                raise wrong(self, value, place) from error
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise wrong(self, value, place)
        if not math.isfinite(value):
            raise wrong(self, value, place)
        return value


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false; where a variable made the text, yes, no, on and off too."""

    @property
    def wanted(self) -> str:
        return "true or false"

    def read(self, value: Any, place: Place, notes: Notes) -> bool:
        if isinstance(value, Filled):
            value = _FLAGS.get(value.lower(), value)
        if not isinstance(value, bool):
            raise wrong(self, value, place)
        return value


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration as Go writes it; kept as text."""

    @property
    def wanted(self) -> str:
        return "a duration such as 10s or 1m30s"

    def read(self, value: Any, place: Place, notes: Notes) -> str:
        if not isinstance(value, str):
            raise wrong(self, value, place)
        try:
            seconds = durationpy.from_str(value).total_seconds()
        except (durationpy.DurationError, OverflowError, ValueError) as error:
            raise wrong(self, value, place) from error
        if abs(seconds) > _MOST_SECONDS:
            raise ComposeError(f"the duration {shown(value)!r} is too long", place)
        return str(value)


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes: a number, or text with a unit; a number of bytes from then on."""

    @property
    def wanted(self) -> str:
        return "a size such as 512M or 1.5G"

    def read(self, value: Any, place: Place, notes: Notes) -> int:
        if isinstance(value, str):
            found = _SIZE.fullmatch(value.lower())
            if found is None:
                raise wrong(self, value, place)
            value = int(Decimal(found[1]) * _UNITS[found[2]])
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong(self, value, place)
        if not 0 <= value <= INT64_MAX:
            raise ComposeError(f"must be between 0 and {INT64_MAX} bytes", place)
        return value


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list; `single` lets one text stand for a list of it. `spread` makes several of an item."""

    item: Shape
    single: bool = False
    spread: Callable[[Any], list[Any]] | None = None

    @property
    def wanted(self) -> str:
        return "text or a list" if self.single else "a list"

    def read(self, value: Any, place: Place, notes: Notes) -> list[Any]:
        if self.single and isinstance(value, str):
            return [self.item.read(value, place, notes)]
        if not isinstance(value, list):
            raise wrong(self, value, place)
        return [
            self.item.read(one, (*place, index), notes)
            for index, given in enumerate(value)
            for one in self._several(given, (*place, index))
        ]

    def _several(self, given: Any, place: Place) -> list[Any]:
        if self.spread is None or not isinstance(given, str | int):
            return [given]
        found: list[Any] = placed(self.spread, given, place)
        return found


@dataclass(frozen=True, slots=True)
class MapOf:
    """Names of the file's own choice to values alike."""

    item: Shape
    names: str = r".+"

    @property
    def wanted(self) -> str:
        return "a mapping"

    def read(self, value: Any, place: Place, notes: Notes) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise wrong(self, value, place)
        for name in value:
            if not re.fullmatch(self.names, name, re.ASCII | re.DOTALL):
                raise ComposeError(f"{shown(name)!r} is no name here", place)
        return {name: self.item.read(one, (*place, name), notes) for name, one in value.items()}


@dataclass(frozen=True, slots=True)
class Pairs:
    """A mapping, or a list of NAME=VALUE; a mapping from then on.

    A name alone has no value (None) where that means something, else an empty one.
    """

    bare: bool = False

    @property
    def wanted(self) -> str:
        return "a mapping, or a list of NAME=VALUE"

    def read(self, value: Any, place: Place, notes: Notes) -> dict[str, str | None]:
        if isinstance(value, list):
            texts = [Text().read(one, (*place, i), notes) for i, one in enumerate(value)]
            parts = [text.partition("=") for text in texts]
            found = {name: text if sign else None for name, sign, text in parts}
        elif isinstance(value, dict):
            found = {name: scalar(one, (*place, name)) for name, one in value.items()}
        else:
            raise wrong(self, value, place)
        if "" in found:
            raise ComposeError("a name is missing", place)
        return found if self.bare else {name: text or "" for name, text in found.items()}


def scalar(value: Any, place: Place) -> str | None:
    """A number as Go prints it, text as it is, nothing for nothing."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        hint = ": put it in quotes" if isinstance(value, bool) else ""
        raise ComposeError(f"must be text or a number, not {_kind(value)}{hint}", place)
    text = str(value) if isinstance(value, str | int) else _go_float(value)
    return Text().read(text, place, Notes())


def _go_float(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{value:+.0f}".title()
    exact = Decimal(repr(value)).normalize()
    if value == 0 or exact.adjusted() in _GO_PLAIN:
        return f"{exact:f}"
    digits = "".join(map(str, exact.as_tuple().digits))
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return f"{'-' * (value < 0)}{digits[0]}{fraction}e{exact.adjusted():+03d}"


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping with known keys.

    `ignored` are read over and noted. `refused` say what to do instead. Those that begin with x-
    are the user's own. `short` turns text into the mapping that it stands for.
    """

    known: Mapping[str, Shape]
    ignored: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    short: Callable[[str], dict[str, Any]] | None = None
    nullable: bool = False

    @property
    def wanted(self) -> str:
        return "text or a mapping" if self.short else "a mapping"

    def read(self, value: Any, place: Place, notes: Notes) -> dict[str, Any]:
        if value is None and self.nullable:
            return {}
        if self.short and isinstance(value, str):
            value = placed(self.short, str(value), place)
        if not isinstance(value, dict):
            raise wrong(self, value, place)
        found = {}
        for key, one in value.items():
            if key in self.known:
                found[key] = self.known[key].read(one, (*place, key), notes)
            elif key in self.ignored:
                notes.ignored.setdefault(key, []).append(place)
            elif not key.startswith("x-"):
                raise self._unknown(key, place)
        for key in self.required:
            if key not in found:
                raise ComposeError(f"{key} is missing", place)
        return found

    def _unknown(self, key: str, place: Place) -> ComposeError:
        if key in self.refused:
            return ComposeError(f"{key} is not supported: {self.refused[key]}", place)
        known = [*self.known, *self.ignored]
        near = difflib.get_close_matches(key, known, 1) if len(key) < _FEW * 4 else []
        hint = f"did you mean {near[0]!r}?" if near else ""
        if not near and len(self.known) <= _FEW:
            hint = f"known here: {', '.join(self.known)}"
        return ComposeError(f"unknown key {shown(key)!r}{hint and '; '}{hint}", place)


@dataclass(frozen=True, slots=True)
class OneOf:
    """A shape for each kind of value: str, list, dict, bool, int, float."""

    shapes: Mapping[type, Shape]

    @property
    def wanted(self) -> str:
        return " or ".join(dict.fromkeys(shape.wanted for shape in self.shapes.values()))

    def read(self, value: Any, place: Place, notes: Notes) -> Any:
        kind = str if isinstance(value, str) else type(value)
        if kind not in self.shapes:
            raise wrong(self, value, place)
        return self.shapes[kind].read(value, place, notes)


@dataclass(frozen=True, slots=True)
class Turned:
    """What another shape read, turned into something else."""

    shape: Shape
    turn: Callable[[Any], Any]

    @property
    def wanted(self) -> str:
        return self.shape.wanted

    def read(self, value: Any, place: Place, notes: Notes) -> Any:
        return placed(self.turn, self.shape.read(value, place, notes), place)
