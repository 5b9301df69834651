"""Services that a breaker holds: how their lists say so, and `service resume`."""

import time
from collections.abc import Iterable

import click
from grpc import StatusCode, aio

from swarmd import api
from swarmd.api import breakers
from swarmd.api.protos.governor_pb2 import (
    Breaker,
    ListBreakersRequest,
    ListBreakersResponse,
    ResumeServiceRequest,
)
from swarmd.ctl.aliases import SwarmCommand
from swarmd.ctl.complete import arguments
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.resolve import resolve


async def breakers_of(control: Control, service_ids: Iterable[str]) -> list[Breaker]:
    """Those that are open; a manager that is not ours has none."""
    ids = list(service_ids)
    if not ids:
        return []
    try:
        request = ListBreakersRequest(service_ids=ids)
        reply: ListBreakersResponse = await control.governor.ListBreakers(request)
    except aio.AioRpcError as error:
        if error.code() == StatusCode.UNIMPLEMENTED:
            return []
        raise
    return list(reply.breakers)


async def held_of(control: Control, service_ids: Iterable[str]) -> dict[str, str]:
    """By service, what to tell of its breaker; those that none holds are left out."""
    return sentences(await breakers_of(control, service_ids), time.time())


def sentences(found: Iterable[Breaker], now: float) -> dict[str, str]:
    """What to tell of each, by the service's id."""
    return {one.id: breakers.sentence(one, now) for one in found if breakers.is_open(one)}


async def tell_held(control: Control, services: Iterable[api.Service]) -> None:
    """A line for each of these that is held, and what to do about it; to stderr, below a table."""
    names = {one.id: one.spec.annotations.name for one in services}
    for service_id, sentence in (await held_of(control, names)).items():
        name = names[service_id]
        click.echo(
            f"{name} is {sentence}; `swarmctl service resume {name}` starts it now", err=True
        )


@click.command(
    cls=SwarmCommand,
    short_help="Start now what a breaker or a back-off holds",
    examples="swarmctl service resume web",
)
@click.argument("names", metavar="SERVICE...", **arguments("service"))
@with_control
async def resume(control: Control, names: tuple[str, ...]) -> None:
    """Start now what waits after failures

    The tasks of a service that fails everywhere in the same way are held, and started late where
    one slot fails again and again. An update lets them go too.
    """
    for name in names:
        found = await resolve(control, "service", name)
        request = ResumeServiceRequest(service_id=found.id)
        reply = await control.governor.ResumeService(request)
        count = f"{reply.started} task{'' if reply.started == 1 else 's'} started"
        click.echo(f"{found.spec.annotations.name}: {'let go, ' if reply.was_held else ''}{count}")
