"""swarmctl service logs and swarmctl task logs: what tasks print, with whose it is in front.

Standard error goes to standard error. Where some output cannot be had the rest is shown all the
same; then one line says what is missing, and the exit status is not 0.
"""

import asyncio
import contextlib
import itertools
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final
from urllib.parse import quote

import click
from google.protobuf.timestamp_pb2 import Timestamp

from swarmd import api
from swarmd.ctl.connection import Control
from swarmd.ctl.output import console
from swarmd.ctl.resolve import Names, list_all, name_of, resolve, tasks_of
from swarmd.ctl.values import duration
from swarmd.errors import ExitStatus, NotFoundError

_COLOURS: Final = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow")
_SHORT_ID: Final = 12
_STDERR: Final = api.LogStream.LOG_STREAM_STDERR
_STREAMS: Final = {"stdout": api.LogStream.LOG_STREAM_STDOUT, "stderr": _STDERR}

_OPTIONS: Final = (
    click.option("-f", "--follow", is_flag=True, help="Follow log output"),
    click.option(
        "-n", "--tail", default="all", show_default=True, help="Lines to show from each task's end"
    ),
    click.option("--since", help="Only what came after a time (RFC 3339), or a duration ago: 10m"),
    click.option("-t", "--timestamps", is_flag=True, help="Show when each line was written"),
    click.option("--raw", is_flag=True, help="Show the output as it is, with nothing in front"),
    click.option("--no-task-ids", is_flag=True, help="Do not show task ids in front of lines"),
    click.option("--no-trunc", is_flag=True, help="Show task ids whole"),
    click.option("--no-resolve", is_flag=True, help="Do not map ids to names"),
    click.option("--details", is_flag=True, help="Show what the log driver says of each line"),
    click.option(
        "--stream",
        "streams",
        multiple=True,
        type=click.Choice(tuple(_STREAMS)),
        help="Show this one alone",
    ),
    click.option(
        "--format",
        "form",
        type=click.Choice(("text", "json")),
        default="text",
        help="text, or json: an object a line",
    ),
)


def logs_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of both commands."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


async def show_logs(
    control: Control, kinds: Sequence[str], names: Sequence[str], **flags: Any
) -> int:
    """The logs of what is called that, of the first of these kinds that is; the exit status."""
    found = [await _resolve(control, kinds, name) for name in names]
    services = [one.id for one in found if isinstance(one, api.Service)]
    tasks = [one for one in found if isinstance(one, api.Task)]
    selector = api.LogSelector(service_ids=services, task_ids=[one.id for one in tasks])
    request = api.SubscribeLogsRequest(selector=selector, options=subscription_options(flags))
    if flags["follow"]:
        await _name_absent(control, services, tasks)
    printer = _printer(control, flags)
    try:
        async for reply in control.logs.SubscribeLogs(request):
            for message in reply.messages:
                await printer.show(message)
            printer.flush()
    except asyncio.CancelledError:  # Ctrl+C is how following ends
        return ExitStatus.INTERRUPTED
    finally:
        printer.end()
    return 0


async def _resolve(control: Control, kinds: Sequence[str], name: str) -> Any:
    for kind in kinds:
        with contextlib.suppress(NotFoundError):
            return await resolve(control, kind, name)
    raise NotFoundError(" or ".join(kinds), name)


def _printer(control: Control, flags: dict[str, Any]) -> "Printer | JsonPrinter":
    if flags["form"] == "json":
        return JsonPrinter()
    prefixes = Prefixes(
        control,
        timestamps=flags["timestamps"],
        raw=flags["raw"],
        with_ids=not flags["no_task_ids"],
        whole_ids=flags["no_trunc"],
        resolved=not (flags["no_resolve"] or control.settings.no_resolve),
        details=flags["details"],
    )
    return Printer(prefixes)


def subscription_options(flags: dict[str, Any]) -> api.LogSubscriptionOptions:
    """The flags in SwarmKit's terms; raises BadParameter."""
    options = api.LogSubscriptionOptions(
        follow=flags["follow"],
        tail=_tail(flags["tail"]),
        streams=[_STREAMS[name] for name in flags["streams"]],
    )
    if flags["since"]:
        options.since.CopyFrom(_since(flags["since"], time.time()))
    return options


def _tail(text: str) -> int:
    """On the wire nought is all, and -n the last n - 1."""
    if text == "all":
        return 0
    if not re.fullmatch(r"\d{1,18}", text):
        raise click.BadParameter(f"{text!r} is neither a number nor all", param_hint="--tail")
    return -int(text) - 1


def _since(text: str, now: float) -> Timestamp:
    """A time, in seconds or as RFC 3339 says; or so long ago."""
    stamp = Timestamp()
    if re.fullmatch(r"\d+(\.\d{1,9})?", text):
        stamp.FromNanoseconds(int(float(text) * 1e9))
    elif re.match(r"\d{4}-", text):
        try:
            when = datetime.fromisoformat(text)
            stamp.FromDatetime(when if when.tzinfo else when.replace(tzinfo=UTC))
        except (ValueError, OverflowError) as error:
            raise click.BadParameter(
                f"{text!r} is not a time such as 2026-01-31T08:00:00Z", param_hint="--since"
            ) from error
    else:
        ago = duration(text, "--since").ToNanoseconds()
        stamp.FromNanoseconds(max(0, int(now * 1e9) - ago))
    return stamp


async def _name_absent(
    control: Control, services: Sequence[str], tasks: Sequence[api.Task]
) -> None:
    """A stream that is followed has no end that could name them: so they are named first."""
    tasks = [*tasks, *(await tasks_of(control, service_ids=services) if services else ())]
    wanted = {one.node_id for one in tasks if one.desired_state <= api.TaskState.RUNNING}
    for node in await list_all(control, "node"):
        if node.id in wanted and node.status.state == api.NodeStatus.State.DOWN:
            click.echo(f"Warning: node {name_of(node)} ({node.id}) is down", err=True)


class Prefixes:
    """What stands in front of a task's lines; each task has a colour of its own on a terminal."""

    def __init__(
        self,
        control: Control,
        *,
        timestamps: bool,
        raw: bool,
        with_ids: bool,
        whole_ids: bool,
        resolved: bool = True,
        details: bool = False,
    ) -> None:
        self._control = control
        self._resolved = resolved
        self._details = details
        self._names = Names(control)
        self._timestamps = timestamps
        self._raw = raw
        self._with_ids = with_ids
        self._id_length = None if whole_ids else _SHORT_ID
        out = console()
        self._colours = itertools.cycle(_COLOURS if out.is_terminal and not out.no_color else ("",))
        self._known: dict[str, tuple[str, str]] = {}
        self._width = 0

    async def of(self, message: api.LogMessage) -> bytes:
        """All that stands in front of this message."""
        stamp = f"{message.timestamp.ToJsonString()} " if self._timestamps else ""
        who = "" if self._raw else await self._who(message.context)
        return (stamp + who + (_attributes(message) if self._details else "")).encode()

    async def _who(self, context: api.LogContext) -> str:
        if context.task_id not in self._known:
            text = await self._text(context)
            self._known[context.task_id] = text, next(self._colours)
            self._width = max(self._width, len(text))
        text, colour = self._known[context.task_id]
        padded = f"{text:<{self._width}} |"
        return (click.style(padded, fg=colour) if colour else padded) + " "

    async def _text(self, context: api.LogContext) -> str:
        """As in web.1.f5l2k@host: service, slot, task and node; ids where there are no names."""
        nodes = await self._names.of("node") if self._resolved else {}
        task = await self._task_name(context)
        if self._with_ids and self._resolved:
            task += f".{context.task_id[: self._id_length]}"
        return f"{task}@{nodes.get(context.node_id, context.node_id)}"

    async def _task_name(self, context: api.LogContext) -> str:
        if not self._resolved:
            return context.task_id
        filters = api.ListTasksRequest.Filters(id_prefixes=[context.task_id])
        reply = await self._control.api.ListTasks(api.ListTasksRequest(filters=filters))
        if reply.tasks:
            return name_of(reply.tasks[0])
        return context.service_id or "task"  # it was removed meanwhile


def _attributes(message: api.LogMessage) -> str:
    pairs = sorted(f"{quote(one.key)}={quote(one.value)}" for one in message.attrs)
    return ",".join(pairs) + " " if pairs else ""


class Printer:
    """Lines of many tasks to two streams, each whole: a piece without an end is ended."""

    def __init__(self, prefixes: Prefixes) -> None:
        self._prefixes = prefixes
        self._begun: dict[BinaryIO, str] = {}  # the task whose line is not ended there

    async def show(self, message: api.LogMessage) -> None:
        """Print it; raises BrokenPipeError when nobody reads."""
        out = (sys.stderr if message.stream == _STDERR else sys.stdout).buffer
        task_id = message.context.task_id
        begun = self._begun.pop(out, None)
        if begun != task_id:
            out.write((b"" if begun is None else b"\n") + await self._prefixes.of(message))
        out.write(message.data)
        if not message.data.endswith(b"\n"):
            self._begun[out] = task_id

    def flush(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()

    def end(self) -> None:
        """End what is begun."""
        for out in self._begun:
            out.write(b"\n")
        self._begun.clear()
        self.flush()


class JsonPrinter:
    """One JSON object for each piece of output, to stdout."""

    async def show(self, message: api.LogMessage) -> None:
        context = message.context
        facts = {
            "time": message.timestamp.ToJsonString(),
            "service_id": context.service_id,
            "task_id": context.task_id,
            "node_id": context.node_id,
            "stream": "stderr" if message.stream == _STDERR else "stdout",
            "text": message.data.decode(errors="replace"),
        }
        sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")

    def flush(self) -> None:
        sys.stdout.flush()

    def end(self) -> None:
        self.flush()
