"""How swarmctl shows things: tables, JSON, ages, colour. The one place that prints."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import click
import humanize
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES: Final = {
    "RUNNING": "green",
    "READY": "green",
    "COMPLETE": "green",
    "COMPLETED": "green",
    "ROLLBACK_COMPLETED": "green",
    "FAILED": "red",
    "REJECTED": "red",
    "DOWN": "red",
    "PAUSED": "red",
    "ROLLBACK_PAUSED": "red",
    "ORPHANED": "red",
    "PENDING": "yellow",
    "UPDATING": "yellow",
    "DRAIN": "yellow",
}

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_IN_WORDS: Final = {
    (0, "second"): "less than a second",
    (1, "second"): "1 second",
    (1, "minute"): "about a minute",
    (1, "hour"): "about an hour",
}


def quiet_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("-q", "--quiet", is_flag=True, help="Only display IDs")(command)


def console() -> Console:
    """Colour only on a terminal, and not with NO_COLOR; a line is never cut where it is piped."""
    return Console(highlight=False, soft_wrap=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """An aligned table; a cell is text, or a rich Text where it has a colour."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name.upper(), no_wrap=True)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    out = console()
    if not out.is_terminal:
        out.width = 10_000
    with out.capture() as captured:
        out.print(table)
    # A table pads its last column, which a pipe would carry along.
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()), color=True)


def show_json(value: Message | Iterable[Message]) -> None:
    """One object, or a list; fields under their names in the protos, enums by name."""
    if isinstance(value, Message):
        facts: Any = to_dict(value)
    else:
        facts = [to_dict(one) for one in value]
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False))


def to_dict(message: Message) -> dict[str, Any]:
    facts: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return facts


def show_page(pairs: Mapping[str, Any], indent: int = 0) -> None:
    """Names and values, aligned; a mapping as value is a section; what is empty is left out."""
    shown = {name: value for name, value in pairs.items() if _says_something(value)}
    width = max(
        (len(name) for name, value in shown.items() if not isinstance(value, Mapping)), default=0
    )
    out = console()
    for name, value in shown.items():
        start = " " * indent
        if isinstance(value, Mapping):
            out.print(Text(f"{start}{name}:"))
            show_page(value, indent + 2)
            continue
        text = value if isinstance(value, Text) else Text(_line(value))
        out.print(Text(f"{start}{name:<{width}} : ").append_text(text))


def _says_something(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_says_something, value.values()))
    return value is not None and bool(str(value)) and value != []


def _line(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def state(name: str, behind: str = "") -> Text:
    """A state in its colour, and what stands behind it plainly."""
    text = Text(name, style=_STYLES.get(name.upper(), ""))
    return text.append(f" {behind}", style="default") if behind else text


def ago(stamp: Timestamp) -> str:
    """How long that is past: "12 seconds ago"; nothing for no time."""
    if not stamp.seconds:
        return ""
    return f"{span(max(0.0, time.time() - stamp.seconds - stamp.nanos / 1e9))} ago"


def span(seconds: float) -> str:
    """A time in one unit, as Docker words it: less than a second, 12 seconds, about an hour."""
    whole, hours = int(seconds), round(seconds / _HOUR)
    for limit, count, unit in (
        (_MINUTE, whole, "second"),
        (_HOUR, whole // _MINUTE, "minute"),
        (2 * _DAY, hours, "hour"),
        (14 * _DAY, hours // 24, "day"),
        (60 * _DAY, hours // (7 * 24), "week"),
        (730 * _DAY, hours // (30 * 24), "month"),
    ):
        if seconds < limit:
            return _IN_WORDS.get((count, unit), f"{count} {unit}s")
    return f"{hours // (365 * 24)} years"


def size(number: int) -> str:
    return humanize.naturalsize(number, binary=True)
