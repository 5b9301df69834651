"""swarmctl service: what should run, and how."""

from typing import Any

import click

from swarmd import api
from swarmd.ctl import docker_objects
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.complete import arguments
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.filtering import BY_ANNOTATIONS, filter_option, filtered, one_of
from swarmd.ctl.formats import inspect_format_option, list_format_option, show_list, show_objects
from swarmd.ctl.held import held_of, resume, tell_held
from swarmd.ctl.output import quiet_option, show_page
from swarmd.ctl.ps import ps_options, show_ps
from swarmd.ctl.resolve import list_all, resolve, tasks_of
from swarmd.ctl.rows import SERVICE_TITLES, by_name, service_fields
from swarmd.ctl.service_change import create, rollback, scale, update
from swarmd.ctl.service_logs import logs_options, show_logs
from swarmd.ctl.service_page import page
from swarmd.ctl.task import show_tasks
from swarmd.errors import SwarmError

FILTERS = {
    **BY_ANNOTATIONS,
    "mode": one_of("replicated", "global", "replicated-job", "global-job")(
        lambda one: str(one.spec.WhichOneof("mode")).replace("_", "-")
    ),
}


@click.group(cls=AliasedGroup)
def service() -> None:
    """Service management"""


for command in (create, update, scale, rollback, resume):
    service.add_command(command)


@service.command(
    examples="""
    swarmctl service ls --filter label=tier=web
    swarmctl service ls --format '{{.Name}}: {{.Replicas}}'
    """
)
@filter_option(FILTERS)
@quiet_option
@list_format_option
@with_control
async def ls(control: Control, filters: tuple[str, ...], quiet: bool, form: str) -> None:
    """List services"""
    found = filtered(await list_all(control, "service"), filters, FILTERS)
    await show_services(control, found, form=form, quiet=quiet)


async def show_services(
    control: Control, found: list[api.Service], *, form: str, quiet: bool = False
) -> None:
    """The list of these services, by name, with how many tasks each has."""
    found = sorted(found, key=by_name)
    running = {} if quiet else await _running(control, [one.id for one in found])
    rows = [service_fields(one, running.get(one.id)) for one in found]
    show_list(form, SERVICE_TITLES, rows, found=found, quiet=quiet)
    if form == "table" and not quiet:
        await tell_held(control, found)


async def _running(control: Control, service_ids: list[str]) -> dict[str, Any]:
    request = api.ListServiceStatusesRequest(services=service_ids)
    reply = await control.api.ListServiceStatuses(request)
    return {one.service_id: one for one in reply.statuses}


@service.command(
    examples="""
    swarmctl service inspect web
    swarmctl service inspect --format '{{.Spec.Mode.Replicated.Replicas}}' web
    """
)
@click.argument("names", metavar="SERVICE...", **arguments("service"))
@click.option(
    "-a", "--all", "all_tasks", is_flag=True, help="Show all tasks, not just those that run"
)
@inspect_format_option
@with_control
async def inspect(
    control: Control, names: tuple[str, ...], all_tasks: bool, form: str, pretty: bool
) -> None:
    """Inspect services"""
    found = [await resolve(control, "service", name) for name in names]
    if not pretty and form != "pretty":
        show_objects(form, [docker_objects.service(one) for one in found], found)
        return
    running = await _running(control, [one.id for one in found])
    held = await held_of(control, [one.id for one in found])
    for one in found:
        show_page(
            {**page(one, running.get(one.id)), "Held": held.get(one.id, "").removeprefix("held: ")}
        )
        tasks = await tasks_of(control, service_ids=[one.id])
        if tasks:
            click.echo()
            await show_tasks(control, tasks, all_tasks=all_tasks)


@service.command(examples="swarmctl service ps --filter desired-state=running web worker")
@click.argument("names", metavar="SERVICE...", **arguments("service"))
@ps_options
@with_control
async def ps(control: Control, names: tuple[str, ...], **flags: Any) -> int:
    """List the tasks of services, and those before them in their slots"""
    found, wrong = [], 0
    for name in names:
        try:
            found.append(await resolve(control, "service", name))
        except SwarmError as error:
            click.echo(f"Error: {error}", err=True)
            wrong = 1
    if found:
        there = await tasks_of(control, service_ids=[one.id for one in found])
        await show_ps(control, there, **flags)
        if not flags["quiet"]:
            await tell_held(control, found)
    return wrong


@service.command(examples="swarmctl service rm web worker")
@click.argument("names", metavar="SERVICE...", **arguments("service"))
@with_control
async def remove(control: Control, names: tuple[str, ...]) -> None:
    """Remove services, and stop their tasks"""
    for name in names:
        found = await resolve(control, "service", name)
        await control.api.RemoveService(api.RemoveServiceRequest(service_id=found.id))
        click.echo(found.id)


@service.command(examples="swarmctl service logs --follow --tail 20 web")
@click.argument("names", metavar="SERVICE...", **arguments("service"))
@logs_options
@with_control
async def logs(control: Control, names: tuple[str, ...], **flags: Any) -> int:
    """Show what the tasks of services print, or those of these ids"""
    return await show_logs(control, ["service", "task"], names, **flags)
