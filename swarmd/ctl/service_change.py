"""swarmctl service create, update, scale and rollback."""

import asyncio
from typing import Any

import click

from swarmd import api
from swarmd.ctl.aliases import SwarmCommand
from swarmd.ctl.complete import arguments, completion_of
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.converge import converge, converge_all
from swarmd.ctl.references import (
    add_references,
    change_networks,
    drop_references,
    registry_auth,
    set_network,
)
from swarmd.ctl.resolve import resolve
from swarmd.ctl.service_flags import create_options, update_options, waiting_options
from swarmd.ctl.service_mode import scale as set_scale
from swarmd.ctl.service_spec import merge, new_spec
from swarmd.errors import FailedPreconditionError, SwarmError


@click.command(
    cls=SwarmCommand,
    context_settings={"allow_interspersed_args": False},
    examples="""
    swarmctl service create --name web --replicas 2 host sleep 1000
    swarmctl service create --name db --image postgres:16 --constraint node.labels.disk==ssd
    swarmctl service create --name once --mode replicated-job --replicas 5 host true
    """,
)
@click.argument("words", metavar="[IMAGE] [COMMAND] [ARG]...", nargs=-1, type=click.UNPROCESSED)
@create_options
@with_control
async def create(
    control: Control, *, detach: bool, quiet: bool, most_seconds: float | None, **flags: Any
) -> int:
    """Create a service, and wait until its tasks run"""
    spec = new_spec(flags)
    await _refer(control, spec, flags)
    reply = await control.api.CreateService(api.CreateServiceRequest(spec=spec))
    click.echo(reply.service.id)
    _warn(reply.service.spec)
    return 0 if detach else await converge(control, reply.service.id, most_seconds, quiet=quiet)


async def _refer(control: Control, spec: api.ServiceSpec, flags: dict[str, Any]) -> None:
    """What has to be asked of the manager, or of a file."""
    if flags.get("network"):
        await set_network(control, spec, flags["network"])
    await change_networks(control, spec, flags["network_add"], flags.get("network_rm", ()))
    for kind in ("secret", "config"):
        drop_references(spec, kind, flags.get(f"{kind}_rm", ()))
        await add_references(control, spec, kind, flags[f"{kind}_add"])
    if flags["with_registry_auth"]:
        auth = await asyncio.to_thread(registry_auth, spec.task.container.image)
        spec.task.container.pull_options.registry_auth = auth


def _warn(spec: api.ServiceSpec) -> None:
    """Say what was asked for and is not there, and what is."""
    ports = [p for p in spec.endpoint.ports if p.publish_mode == api.PortConfig.PublishMode.INGRESS]
    if ports:
        numbers = ", ".join(str(port.published_port or port.target_port) for port in ports)
        click.echo(
            f"Warning: port {numbers} is reserved in the cluster, and nothing listens on it: there"
            " is no routing mesh. Publish it on the nodes of the tasks: "
            "--publish published=PORT,target=PORT,mode=host",
            err=True,
        )


@click.command(
    cls=SwarmCommand,
    examples="""
    swarmctl service update --image postgres:17 --update-delay 10s db
    swarmctl service update --env-add LEVEL=debug --constraint-rm node.role==worker web
    swarmctl service update --force web
    """,
)
@click.argument("service_name", metavar="SERVICE", shell_complete=completion_of("service"))
@update_options
@with_control
async def update(
    control: Control,
    service_name: str,
    *,
    detach: bool,
    quiet: bool,
    most_seconds: float | None,
    **flags: Any,
) -> int:
    """Update a service: only what a flag names is changed"""
    found = await resolve(control, "service", service_name)
    if flags["rollback"] and not _names_more(flags):
        await _roll_back(control, found)
    else:
        await _update(control, found, await _changed(control, found, flags))
    click.echo(found.id)
    if detach:
        return 0
    back = bool(flags["rollback"])
    return await converge(control, found.id, most_seconds, quiet=quiet, goes_back=back)


def _names_more(flags: dict[str, Any]) -> bool:
    return any(value not in (None, (), False) for key, value in flags.items() if key != "rollback")


async def _changed(control: Control, found: api.Service, flags: dict[str, Any]) -> api.ServiceSpec:
    """The spec with the changes, or with --rollback the one before it with the changes."""
    spec = api.ServiceSpec()
    spec.CopyFrom(_previous(found) if flags["rollback"] else found.spec)
    merge(spec, flags)
    await _refer(control, spec, flags)
    if spec == found.spec:
        raise SwarmError("no changes detected")
    return spec


def _previous(found: api.Service) -> api.ServiceSpec:
    if not found.HasField("previous_spec"):
        name = found.spec.annotations.name
        raise FailedPreconditionError(f"service {name} has no previous spec to go back to")
    return found.previous_spec


async def _update(control: Control, found: api.Service, spec: api.ServiceSpec) -> None:
    request = api.UpdateServiceRequest(
        service_id=found.id, service_version=found.meta.version, spec=spec
    )
    reply = await control.api.UpdateService(request)
    if spec.endpoint != found.spec.endpoint:
        _warn(reply.service.spec)


async def _roll_back(control: Control, found: api.Service) -> None:
    _previous(found)
    request = api.UpdateServiceRequest(
        service_id=found.id,
        service_version=found.meta.version,
        spec=found.spec,
        rollback=api.UpdateServiceRequest.Rollback.PREVIOUS,
    )
    await control.api.UpdateService(request)


@click.command(cls=SwarmCommand, examples="swarmctl service rollback web")
@click.argument("service_name", metavar="SERVICE", shell_complete=completion_of("service"))
@waiting_options
@with_control
async def rollback(
    control: Control, service_name: str, *, detach: bool, quiet: bool, most_seconds: float | None
) -> int:
    """Go back to a service's spec before its last update"""
    found = await resolve(control, "service", service_name)
    await _roll_back(control, found)
    click.echo(found.id)
    if detach:
        return 0
    return await converge(control, found.id, most_seconds, quiet=quiet, goes_back=True)


@click.command(cls=SwarmCommand, examples="swarmctl service scale web=3 worker=5")
@click.argument("wanted", metavar="SERVICE=REPLICAS...", **arguments("service", "="))
@waiting_options
@with_control
async def scale(
    control: Control,
    wanted: tuple[str, ...],
    *,
    detach: bool,
    quiet: bool,
    most_seconds: float | None,
) -> int:
    """Change how many replicas services have"""
    counts = dict(map(_count, wanted))
    scaled: dict[str, str] = {}
    failed = 0
    for name, count in counts.items():
        try:
            scaled[await _scale(control, name, count)] = name
        except SwarmError as error:
            click.echo(f"Error: {name}: {error}", err=True)
            failed = 1
        else:
            click.echo(f"{name} scaled to {count}")
    if scaled and not detach:
        failed |= await converge_all(control, scaled, most_seconds, quiet=quiet)
    return failed


def _count(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not name or not count.isdecimal():
        raise click.BadParameter(f"{text!r} is not SERVICE=REPLICAS", param_hint="SERVICE=REPLICAS")
    return name, int(count)


async def _scale(control: Control, name: str, count: int) -> str:
    found = await resolve(control, "service", name)
    mode = found.spec.WhichOneof("mode")
    if mode not in ("replicated", "replicated_job"):
        raise FailedPreconditionError(
            "scale can only be used with replicated or replicated-job mode"
        )
    spec = api.ServiceSpec()
    spec.CopyFrom(found.spec)
    set_scale(spec, count)
    await _update(control, found, spec)
    return str(found.id)
