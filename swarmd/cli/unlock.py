"""swarmd unlock: give a locked node its unlock key."""

import asyncio
import sys
from pathlib import Path
from typing import Final

import click
from grpc import aio

from swarmd.api.protos.autolock_pb2 import UnlockRequest
from swarmd.api.protos.autolock_pb2_grpc import AutolockStub
from swarmd.cli.node_report import NodeReport
from swarmd.cli.options import CONFIG_OPTION, STATE_DIR_OPTION
from swarmd.errors import SwarmError
from swarmd.rpc.channel import dial_control
from swarmd.rpc.errors import from_rpc_error
from swarmd.state_dir import StateDir

_CALL_SECONDS: Final = 20.0


@click.command()
@CONFIG_OPTION
@STATE_DIR_OPTION
def unlock(config: Path | None, state_dir: Path) -> None:  # noqa: ARG001
    """Unlock this node's manager, after a start with autolock.

    Asks for the key (`swarmctl cluster unlock-key` shows it, on a manager that is not locked), or
    reads it from standard input: echo "$KEY" | swarmd unlock
    """
    report = NodeReport.read(StateDir(state_dir))
    if not report.alive:
        raise click.ClickException("swarmd does not run: start it first")
    if report.facts.get("phase") != "locked":
        raise click.ClickException("this node is not locked")
    key = ask_key()
    try:
        asyncio.run(_unlock(Path(report.facts["control_api"]), key))
    except aio.AioRpcError as error:
        raise click.ClickException(str(from_rpc_error(error))) from error
    except SwarmError as error:
        raise click.ClickException(str(error)) from error
    click.echo("unlocked")


def ask_key() -> str:
    """The unlock key as its owner has it: typed in, or from standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Unlock key", hide_input=True))
    return sys.stdin.readline()


async def _unlock(control: Path, key: str) -> None:
    async with await dial_control(control) as channel:
        request = UnlockRequest(unlock_key=key.strip())
        await AutolockStub(channel).Unlock(request, timeout=_CALL_SECONDS)
