"""swarmctl node: which nodes there are, and what they may do."""

from typing import Any

import click

from swarmd import api
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.output import (
    format_option,
    quiet_option,
    show_json,
    show_page,
    show_table,
    size,
    state,
)
from swarmd.ctl.resolve import list_all, name_of, resolve
from swarmd.ctl.task import show_tasks
from swarmd.ctl.values import Strings, flat, pairs
from swarmd.errors import SwarmError

_Availability = api.NodeSpec.Availability
_NANO = 10**9


@click.group(cls=AliasedGroup)
def node() -> None:
    """Node management"""


@node.command()
@quiet_option
@format_option
@with_control
async def ls(control: Control, quiet: bool, form: str) -> None:
    """List nodes"""
    nodes = await list_all(control, "node")
    if quiet:
        click.echo("\n".join(one.id for one in nodes))
    elif form == "json":
        show_json(nodes)
    else:
        columns = ("ID", "Name", "Membership", "Status", "Availability", "Manager Status")
        show_table(columns, map(_row, nodes))


def _row(one: api.Node) -> tuple[Any, ...]:
    return (
        one.id,
        name_of(one),
        api.NodeSpec.Membership.Name(one.spec.membership),
        state(api.NodeStatus.State.Name(one.status.state)),
        state(_Availability.Name(one.spec.availability)),
        _manager_status(one),
    )


def _manager_status(one: api.Node) -> str:
    if one.HasField("manager_status"):
        leads = " *" if one.manager_status.leader else ""
        return api.RaftMemberStatus.Reachability.Name(one.manager_status.reachability) + leads
    return "UNKNOWN" if one.spec.desired_role == api.NodeRole.MANAGER else ""


@node.command()
@click.argument("name", metavar="NODE")
@click.option(
    "-a", "--all", "all_tasks", is_flag=True, help="Show all tasks, not just those that run"
)
@format_option
@with_control
async def inspect(control: Control, name: str, all_tasks: bool, form: str) -> None:
    """Inspect a node"""
    found = await resolve(control, "node", name)
    if form == "json":
        show_json(found)
        return
    show_page(_page(found))
    filters = api.ListTasksRequest.Filters(node_ids=[found.id])
    reply = await control.api.ListTasks(api.ListTasksRequest(filters=filters))
    if reply.tasks:
        click.echo()
        await show_tasks(control, reply.tasks, all_tasks=all_tasks)


def _page(one: api.Node) -> dict[str, Any]:
    manager, about = one.manager_status, one.description
    return {
        "ID": one.id,
        "Hostname": about.hostname,
        "Node Labels": _labels(one.spec.annotations.labels),
        "Status": {
            "State": state(api.NodeStatus.State.Name(one.status.state)),
            "Message": one.status.message,
            "Availability": _Availability.Name(one.spec.availability),
            "Address": one.status.addr,
        },
        "Manager status": {
            "Address": manager.addr,
            "Raft status": api.RaftMemberStatus.Reachability.Name(manager.reachability),
            "Leader": "yes" if manager.leader else "no",
        }
        if one.HasField("manager_status")
        else None,
        "Platform": {
            "Operating System": about.platform.os,
            "Architecture": about.platform.architecture,
        },
        "Resources": {
            "CPUs": f"{about.resources.nano_cpus / _NANO:g}",
            "Memory": size(about.resources.memory_bytes),
            "Generic Resources": _generic(about.resources),
        },
        "Plugins": _plugins(about.engine),
        "Engine Version": about.engine.engine_version,
        "Engine Labels": _labels(about.engine.labels),
    }


def _labels(labels: Any) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _generic(resources: api.Resources) -> list[str]:
    found = []
    for one in resources.generic:
        discrete, named = one.discrete_resource_spec, one.named_resource_spec
        found.append(
            f"{named.kind}={named.value}" if named.kind else f"{discrete.kind}={discrete.value}"
        )
    return found


def _plugins(engine: api.EngineDescription) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for plugin in sorted(engine.plugins, key=lambda plugin: (plugin.type, plugin.name)):
        kinds.setdefault(plugin.type, []).append(plugin.name)
    return kinds


async def _change(control: Control, name: str, field: str, value: int, already: str) -> None:
    found = await resolve(control, "node", name)
    if getattr(found.spec, field) == value:
        raise SwarmError(f"node {name} is already {already}")
    setattr(found.spec, field, value)
    await _update(control, found)


async def _update(control: Control, changed: api.Node) -> None:
    request = api.UpdateNodeRequest(
        node_id=changed.id, node_version=changed.meta.version, spec=changed.spec
    )
    await control.api.UpdateNode(request)


@node.command()
@click.argument("name", metavar="NODE")
@with_control
async def activate(control: Control, name: str) -> None:
    """Activate a node: it gets tasks again"""
    await _change(control, name, "availability", _Availability.ACTIVE, "active")


@node.command()
@click.argument("name", metavar="NODE")
@with_control
async def pause(control: Control, name: str) -> None:
    """Pause a node: its tasks go on, new ones go elsewhere"""
    await _change(control, name, "availability", _Availability.PAUSE, "paused")


@node.command()
@click.argument("name", metavar="NODE")
@with_control
async def drain(control: Control, name: str) -> None:
    """Drain a node: its tasks move to others"""
    await _change(control, name, "availability", _Availability.DRAIN, "drained")


@node.command()
@click.argument("name", metavar="NODE")
@with_control
async def promote(control: Control, name: str) -> None:
    """Promote a worker to a manager"""
    await _change(control, name, "desired_role", api.NodeRole.MANAGER, "a manager")


@node.command()
@click.argument("name", metavar="NODE")
@with_control
async def demote(control: Control, name: str) -> None:
    """Demote a manager to a worker"""
    await _change(control, name, "desired_role", api.NodeRole.WORKER, "a worker")


@node.command()
@click.argument("name", metavar="NODE")
@click.option("--label", type=Strings(), multiple=True, help="Labels (key=value); they replace all")
@with_control
async def update(control: Control, name: str, label: tuple[tuple[str, ...], ...]) -> None:
    """Update a node"""
    found = await resolve(control, "node", name)
    labels = found.spec.annotations.labels
    before = dict(labels)
    if label:
        labels.clear()
        labels.update(pairs(flat(label), "--label"))
    if dict(labels) == before:
        raise SwarmError(f"no change for node {name}")
    await _update(control, found)


@node.command()
@click.argument("name", metavar="NODE")
@click.option("-f", "--force", is_flag=True, help="Remove it although it is up, or a manager")
@with_control
async def remove(control: Control, name: str, force: bool) -> None:
    """Remove a node"""
    found = await resolve(control, "node", name)
    await control.api.RemoveNode(api.RemoveNodeRequest(node_id=found.id, force=force))
    click.echo(found.id)
