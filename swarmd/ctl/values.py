"""What a flag's text means. Each raises click.BadParameter with a sentence."""

import csv
import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import click
import durationpy
from google.protobuf.duration_pb2 import Duration

_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_NANO: Final = 10**9


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
    """key=value each, or a key alone."""
    return {key: value for key, _, value in (text.partition("=") for text in texts)}


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
    return int(Decimal(match[1]) * _UNITS[match[2]])


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
