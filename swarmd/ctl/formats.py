"""`--format`, as Docker's commands take it, and the fields that its templates see.

table                the command's own columns
table TEMPLATE       those of the template, parted by tabs, under their titles
json                 an object a line (`inspect`: a list), with Docker's names
proto                a list of the whole objects, with the names of the wire
TEMPLATE             Go's text/template, filled in for each: '{{.ID}}: {{.Name}}'
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import click
from google.protobuf.message import Message
from rich.text import Text

from swarmd.api.templates import Struct, TemplateError, expand
from swarmd.ctl.output import show_json, show_table

Row = Mapping[str, Any]
Function = Callable[..., object]
_TABLE: Final = "table"
_COMPACT: Final = (",", ":")  # as Go writes JSON


def list_format_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--format of a command that lists."""
    return click.option(
        "--format",
        "form",
        metavar="FORMAT",
        default=_TABLE,
        help="table, json, proto, a Go template such as '{{.ID}} {{.Name}}', or table TEMPLATE",
    )(command)


def inspect_format_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--format and --pretty of a command that shows objects."""
    command = click.option("--pretty", is_flag=True, help="For people; the default")(command)
    return click.option(
        "-f",
        "--format",
        "form",
        metavar="FORMAT",
        default="pretty",
        help="pretty, json, proto, or a Go template such as '{{.ID}}'",
    )(command)


def show_list(
    form: str,
    columns: Mapping[str, str],
    rows: Sequence[Row],
    *,
    found: Sequence[Message] = (),
    shown: Sequence[str] = (),
    quiet: bool = False,
) -> None:
    """Rows of fields, in that form; `columns` gives each field's title, `shown` the usual ones.

    `found` are the whole objects, for `proto`. Raises BadParameter for a template that is none.
    """
    if quiet and form == _TABLE:
        _say(str(row["ID"]) for row in rows)
    elif form == _TABLE:
        names = shown or tuple(columns)
        show_table(
            [columns[name] for name in names], [[row[name] for name in names] for row in rows]
        )
    elif form == "json":
        _say(
            json.dumps(_data(row), ensure_ascii=False, sort_keys=True, separators=_COMPACT)
            for row in rows
        )
    elif form == "proto":
        show_json(found)
    elif form.startswith(_TABLE + " "):
        template = form.removeprefix(_TABLE).strip()
        titles = fill(template, columns, _OF_TITLES).split("\t")
        show_table(titles, [fill(template, _plain(row)).split("\t") for row in rows])
    else:
        fill(form, columns, _OF_TITLES)  # what is wrong is wrong without rows too
        _say(fill(form, _plain(row)) for row in rows)


def show_objects(
    form: str, objects: Sequence[Mapping[str, Any]], found: Sequence[Message] = ()
) -> None:
    """What `inspect` has to say of these objects, in a form that is not pretty."""
    if form == "json":
        shown = [_without_nothing(one) for one in objects]
        click.echo(json.dumps(shown, indent=4, ensure_ascii=False))
    elif form == "proto":
        show_json(found)
    else:
        _say(fill(form, one) for one in objects)


def fill(template: str, values: Row, functions: Mapping[str, Function] | None = None) -> str:
    """The template filled in; `\\t` and `\\n` may be written out. Raises BadParameter."""
    text = template.replace(r"\t", "\t").replace(r"\n", "\n")
    try:
        return expand(text, Struct("object", values), {**_FUNCTIONS, **(functions or {})})
    except TemplateError as error:
        fault = str(error).removeprefix("template: expansion:")
        known = ", ".join(values)
        raise click.BadParameter(f"{fault} (fields: {known})", param_hint="--format") from error


def _say(lines: Any) -> None:
    for line in lines:
        click.echo(line)


def _plain(row: Row) -> dict[str, Any]:
    """Without colour."""
    return {n: value.plain if isinstance(value, Text) else value for n, value in row.items()}


def _data(row: Row) -> dict[str, Any]:
    """For JSON: methods are for templates alone."""
    return {name: value for name, value in _plain(row).items() if not callable(value)}


def _without_nothing(value: Any) -> Any:
    """What is not set is not shown."""
    if isinstance(value, Mapping):
        return {k: _without_nothing(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nothing(one) for one in value]
    return value


def _json(value: object) -> str:
    if isinstance(value, Struct):
        value = dict(value.fields)
    return json.dumps(_without_nothing(value), ensure_ascii=False, default=str, separators=_COMPACT)


def _join(parts: object, separator: str) -> str:
    return separator.join(map(str, parts)) if isinstance(parts, list) else str(parts)


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


_FUNCTIONS: Final[Mapping[str, Function]] = {
    "json": _json,
    "split": lambda text, separator: text.split(separator),
    "join": _join,
    "title": lambda text: text.title(),
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "pad": _pad,
    "truncate": lambda text, length: text[:length],
}
# A title stays as it is, whatever is done with what stands below it.
_OF_TITLES: Final[Mapping[str, Function]] = {
    name: lambda text, *_: text
    for name in ("json", "split", "join", "title", "lower", "upper", "truncate")
}
