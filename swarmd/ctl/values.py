"""What a flag's text means. Each raises click.BadParameter with a sentence."""

import csv
import re
from collections.abc import Collection, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import click
import durationpy
from google.protobuf.duration_pb2 import Duration

_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_PAIR: Final = re.compile(r"\s*[^\s=]+=")
_NANO: Final = 10**9
_INT64_MAX: Final = (1 << 63) - 1


class Strings(click.ParamType[tuple[str, ...]]):
    """A list: comma-separated, in CSV's quoting, and the flag may repeat (Go's StringSlice)."""

    name = "strings"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if not isinstance(value, str):
            return tuple(value)
        try:
            return tuple(field for row in csv.reader([value]) for field in row)
        except csv.Error as error:
            self.fail(f"{value!r} is not a comma-separated list: {error}", param, ctx)


class PairStrings(Strings):
    """KEY=VALUE, several parted by commas; a comma that no other KEY= follows is part of the value.

    So SwarmKit's A=1,B=2 are two, and Docker's LIST=a,b is one.
    """

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        found = super().convert(value, param, ctx)
        if isinstance(value, str) and not all(map(_PAIR.match, found)):
            return (value,)
        return found


def flat(lists: Iterable[Iterable[str]]) -> list[str]:
    """The values of a repeated `Strings` flag, in order."""
    return [text for one in lists for text in one]


def pairs(texts: Iterable[str], flag: str) -> dict[str, str]:
    """key=value each; a later key wins."""
    found = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint=flag)
        found[key.strip()] = value.strip()
    return found


def options(texts: Iterable[str]) -> dict[str, str]:
    """key=value each, or a key alone; raises BadParameter for one without a key."""
    found = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key.strip():
            raise click.BadParameter(f"{text!r} is not KEY or KEY=VALUE")
        found[key.strip()] = value.strip()
    return found


def is_long(text: str) -> bool:
    """Docker's long form of a value: key=value,key=value."""
    return _PAIR.match(text) is not None


def long_form(text: str, flag: str, fields: Collection[str]) -> list[tuple[str, str]]:
    """Its keys and values, in order; raises BadParameter for a key that is none of `fields`."""
    found = []
    for piece in flat([Strings().convert(text, None, None)]):
        key, separator, value = (part.strip() for part in piece.partition("="))
        if key.lower() not in fields or not separator:
            known = ", ".join(fields)
            raise click.BadParameter(
                f"{piece!r} in {text!r} is not KEY=VALUE with one of {known}", param_hint=flag
            )
        found.append((key.lower(), value))
    return found


def duration(text: str, flag: str) -> Duration:
    """A duration as Go writes it: 300ms, 5s, 1h30m."""
    try:
        seconds = durationpy.from_str(text)
    except durationpy.DurationError as error:
        raise click.BadParameter(
            f"{text!r} is not a duration such as 300ms, 5s or 1h30m", param_hint=flag
        ) from error
    result = Duration()
    result.FromTimedelta(seconds)
    return result


def memory_bytes(text: str, flag: str) -> int:
    """A size in bytes; k, m, g, t are powers of 1024, with or without a b behind."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise click.BadParameter(f"{text!r} is not a size such as 512m or 1.5g", param_hint=flag)
    found = int(Decimal(match[1]) * _UNITS[match[2]])
    if found > _INT64_MAX:
        raise click.BadParameter(f"{text!r} is more than {_INT64_MAX} bytes", param_hint=flag)
    return found


def nano_cpus(text: str, flag: str) -> int:
    """A number of cores, of at most nine decimal places, in billionths."""
    try:
        nano = Decimal(text) * _NANO
        if nano != int(nano):
            raise click.BadParameter(f"{text!r} has more than nine decimal places", param_hint=flag)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} is not a number of cores such as 0.5", param_hint=flag
        ) from error
    return int(nano)
