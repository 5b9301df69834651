"""A command's way to the control socket, and errors as one line.

@click.command()
@with_control
async def ls(control: Control, quiet: bool) -> None:
    reply = await control.ListNodes(api.ListNodesRequest())
"""

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import click
import grpc
from grpc import aio

from swarmd.api.protos.backup_pb2_grpc import BackupStub
from swarmd.api.protos.ca_pb2_grpc import CAStub
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.api.protos.explain_pb2_grpc import ExplainStub
from swarmd.api.protos.governor_pb2_grpc import GovernorStub
from swarmd.api.protos.journal_pb2_grpc import JournalStub
from swarmd.api.protos.logbroker_pb2_grpc import LogsStub
from swarmd.api.protos.pages_pb2_grpc import PagesStub
from swarmd.api.protos.watch_pb2_grpc import WatchStub
from swarmd.backoff import Backoff
from swarmd.config import DEFAULT_CONTROL_SOCKET
from swarmd.errors import SwarmError
from swarmd.rpc.channel import dial_control
from swarmd.rpc.errors import from_rpc_error
from swarmd.rpc.limits import ANY_SIZE

CALL_SECONDS: Final = 30.0
_PATIENCE_SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What stands before the command."""

    socket: Path = DEFAULT_CONTROL_SOCKET
    no_resolve: bool = False


class _Timed:
    """A stub whose calls end, and take an answer of any size.

    A manager that hangs must not hang its user too.
    """

    def __init__(self, stub: Any, *, streams: bool = False) -> None:
        self._stub = stub
        self._streams = streams  # its answers come one after another

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._stub, method)
        timed = functools.partial(call, timeout=CALL_SECONDS, metadata=(ANY_SIZE,))
        reads = method.startswith(("Get", "List")) and not self._streams
        return functools.partial(_patiently, timed) if reads else timed


async def _patiently(read: Callable[[Any], Any], request: Any) -> Any:
    """Ask again for a few seconds while the managers have no leader, or theirs just ended."""
    backoff = Backoff(0.1, 1.0, Random())  # noqa: S311  no secret
    until = time.monotonic() + _PATIENCE_SECONDS  # a manager without a quorum is patient itself
    while True:
        try:
            return await read(request)
        except aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > until:
                raise
        await asyncio.sleep(backoff.next())


class Control:
    """The APIs of one manager, over its control socket; streams have no deadline."""

    def __init__(self, channel: aio.Channel, settings: Settings) -> None:
        self.settings = settings
        # grpcio's stubs have no useful static type for an async channel.
        self.api: Any = _Timed(ControlStub(channel))
        self.pages: Any = _Timed(PagesStub(channel), streams=True)
        self.ca: Any = _Timed(CAStub(channel))
        self.explain: Any = _Timed(ExplainStub(channel))
        self.governor: Any = _Timed(GovernorStub(channel))
        self.journal: Any = _Timed(JournalStub(channel))
        self.watch: Any = WatchStub(channel)
        self.logs: Any = LogsStub(channel)
        self.backup: Any = BackupStub(channel)


def with_control(
    command: Callable[..., Coroutine[Any, Any, int | None]],
) -> Callable[..., None]:
    """Give an async command its `Control`; it may return an exit status."""

    @click.pass_context
    @functools.wraps(command)
    def run(ctx: click.Context, *arguments: Any, **options: Any) -> None:
        settings = ctx.find_object(Settings) or Settings()
        try:
            status = asyncio.run(_call(command, settings, arguments, options))
        except aio.AioRpcError as error:
            raise click.ClickException(str(from_rpc_error(error))) from error
        except SwarmError as error:
            raise click.ClickException(str(error)) from error
        if status:
            raise SystemExit(status)

    return run


async def _call(
    command: Callable[..., Coroutine[Any, Any, int | None]],
    settings: Settings,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> int | None:
    async with await dial_control(settings.socket) as channel:
        return await command(Control(channel, settings), *arguments, **options)
