"""Shell completion of names: what the manager knows that begins like that; nothing without one."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from grpc import aio

from swarmd.ctl.connection import Control, Settings
from swarmd.ctl.resolve import list_all, name_of
from swarmd.errors import SwarmError
from swarmd.rpc.channel import dial_control

_SECONDS = 2.0
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completion_of(kind: str, end: str = "") -> Complete:
    """For `shell_complete` of an argument that names objects of that kind; `end` follows a name."""

    def complete(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        names: list[str] = []
        settings = _settings(ctx)
        # A shell has no place to show an error: it shows no names.
        with contextlib.suppress(SwarmError, aio.AioRpcError, TimeoutError):
            names = asyncio.run(_names(settings, kind))
        return [CompletionItem(name + end) for name in sorted(names) if name.startswith(begun)]

    return complete


def arguments(kind: str, end: str = "") -> dict[str, Any]:
    """Of an argument that names one or more objects."""
    return {"nargs": -1, "required": True, "shell_complete": completion_of(kind, end)}


def _settings(ctx: click.Context) -> Settings:
    """Those before the command: while a line is completed, no command has read them yet."""
    socket = ctx.find_root().params.get("socket")
    return Settings(socket=Path(str(socket).removeprefix("unix:"))) if socket else Settings()


async def _names(settings: Settings, kind: str) -> list[str]:
    async with asyncio.timeout(_SECONDS), await dial_control(settings.socket) as channel:
        return [name_of(one) for one in await list_all(Control(channel, settings), kind)]
