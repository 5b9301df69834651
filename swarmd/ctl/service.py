"""swarmctl service: what should run, and how."""

from typing import Any

import click

from swarmd import api
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.converge import converge
from swarmd.ctl.output import format_option, quiet_option, show_json, show_page, show_table
from swarmd.ctl.references import add_references, drop_references
from swarmd.ctl.resolve import list_all, resolve
from swarmd.ctl.service_flags import create_options, update_options
from swarmd.ctl.service_logs import logs_options, show_logs
from swarmd.ctl.service_page import page, replicas
from swarmd.ctl.service_spec import merge, new_spec
from swarmd.ctl.task import show_tasks
from swarmd.errors import SwarmError

_State = api.TaskState


@click.group(cls=AliasedGroup)
def service() -> None:
    """Service management"""


@service.command()
@quiet_option
@format_option
@with_control
async def ls(control: Control, quiet: bool, form: str) -> None:
    """List services"""
    services = await list_all(control, "service")
    if quiet:
        click.echo("\n".join(one.id for one in services))
    elif form == "json":
        show_json(services)
    else:
        running = await _running(control, [one.id for one in services])
        rows = [
            (
                one.id,
                one.spec.annotations.name,
                one.spec.task.container.image,
                replicas(one, running.get(one.id)),
            )
            for one in services
        ]
        show_table(("ID", "Name", "Image", "Replicas"), rows)


async def _running(control: Control, service_ids: list[str]) -> dict[str, Any]:
    request = api.ListServiceStatusesRequest(services=service_ids)
    reply = await control.api.ListServiceStatuses(request)
    return {one.service_id: one for one in reply.statuses}


@service.command()
@click.argument("name", metavar="SERVICE")
@click.option(
    "-a", "--all", "all_tasks", is_flag=True, help="Show all tasks, not just those that run"
)
@format_option
@with_control
async def inspect(control: Control, name: str, all_tasks: bool, form: str) -> None:
    """Inspect a service"""
    found = await resolve(control, "service", name)
    if form == "json":
        show_json(found)
        return
    running = await _running(control, [found.id])
    show_page(page(found, running.get(found.id)))
    filters = api.ListTasksRequest.Filters(service_ids=[found.id])
    reply = await control.api.ListTasks(api.ListTasksRequest(filters=filters))
    if reply.tasks:
        click.echo()
        await show_tasks(control, reply.tasks, all_tasks=all_tasks)


@service.command()
@create_options
@with_control
async def create(
    control: Control, *, detach: bool, most_seconds: float | None, **flags: Any
) -> int:
    """Create a service, and wait until its tasks run"""
    spec = new_spec(flags)
    await _networks(control, spec, flags["network"])
    await add_references(control, spec, "secret", flags["secret"])
    await add_references(control, spec, "config", flags["config"])
    reply = await control.api.CreateService(api.CreateServiceRequest(spec=spec))
    click.echo(reply.service.id)
    return 0 if detach else await converge(control, reply.service.id, most_seconds)


@service.command()
@click.argument("service_name", metavar="SERVICE")
@update_options
@with_control
async def update(
    control: Control, service_name: str, *, detach: bool, most_seconds: float | None, **flags: Any
) -> int:
    """Update a service: only what a flag names is changed"""
    found = await resolve(control, "service", service_name)
    spec = api.ServiceSpec()
    spec.CopyFrom(found.spec)
    merge(spec, flags)
    await _networks(control, spec, flags["network"])
    for kind in ("secret", "config"):
        drop_references(spec, kind, flags[f"rm_{kind}"])
        await add_references(control, spec, kind, flags[f"add_{kind}"])
    if spec == found.spec:
        raise SwarmError("no changes detected")
    request = api.UpdateServiceRequest(
        service_id=found.id, service_version=found.meta.version, spec=spec
    )
    reply = await control.api.UpdateService(request)
    click.echo(reply.service.id)
    return 0 if detach else await converge(control, reply.service.id, most_seconds)


async def _networks(control: Control, spec: api.ServiceSpec, name: str | None) -> None:
    if name is not None:
        found = await resolve(control, "network", name)
        del spec.task.networks[:]
        spec.task.networks.add(target=found.id)


@service.command()
@click.argument("names", metavar="SERVICE...", nargs=-1, required=True)
@with_control
async def remove(control: Control, names: tuple[str, ...]) -> None:
    """Remove services, and stop their tasks"""
    for name in names:
        found = await resolve(control, "service", name)
        await control.api.RemoveService(api.RemoveServiceRequest(service_id=found.id))
        click.echo(found.id)


@service.command()
@click.argument("names", metavar="SERVICE...", nargs=-1, required=True)
@logs_options
@with_control
async def logs(control: Control, names: tuple[str, ...], **flags: Any) -> int:
    """Show what the tasks of services print"""
    return await show_logs(control, "service", names, **flags)
