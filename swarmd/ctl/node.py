"""swarmctl node: which nodes there are, and what they may do."""

from typing import Any

import click
import grpc

from swarmd import api
from swarmd.ctl import docker_objects
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.complete import arguments, completion_of
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.filtering import Test, filter_option, filtered, has_label, is_id, one_of
from swarmd.ctl.formats import inspect_format_option, list_format_option, show_list, show_objects
from swarmd.ctl.output import quiet_option, show_page, size, state
from swarmd.ctl.ps import ps_options, show_ps
from swarmd.ctl.resolve import SELF, list_all, resolve, self_id, tasks_of
from swarmd.ctl.rows import NODE_SHOWN, NODE_TITLES, by_name, node_fields
from swarmd.ctl.task import show_tasks
from swarmd.ctl.values import PairStrings, flat, options
from swarmd.errors import SwarmError
from swarmd.rpc.forward import FORCE
from swarmd.rpc.limits import ANY_SIZE

_Availability = api.NodeSpec.Availability
_NANO = 10**9
_FILTERS: dict[str, Test] = {
    "id": is_id,
    "label": lambda one, wanted: has_label(one.description.engine.labels, wanted),
    "node.label": lambda one, wanted: has_label(one.spec.annotations.labels, wanted),
    "membership": one_of("accepted", "pending")(
        lambda one: api.NodeSpec.Membership.Name(one.spec.membership)
    ),
    "name": lambda one, wanted: one.description.hostname.startswith(wanted),
    "role": one_of("worker", "manager")(lambda one: api.NodeRole.Name(one.role)),
}


@click.group(cls=AliasedGroup)
def node() -> None:
    """Node management"""


@node.command(
    examples="""
    swarmctl node ls --filter role=manager
    swarmctl node ls --format '{{.Hostname}} {{.Status}} {{.TLSStatus}}'
    """
)
@filter_option(_FILTERS)
@quiet_option
@list_format_option
@with_control
async def ls(control: Control, filters: tuple[str, ...], quiet: bool, form: str) -> None:
    """List nodes"""
    found = filtered(await list_all(control, "node"), filters, _FILTERS)
    found.sort(key=by_name)
    (cluster,) = await list_all(control, "cluster")
    asked, root = await self_id(control), cluster.root_ca.ca_cert
    rows = [node_fields(one, asked, root) for one in found]
    show_list(form, NODE_TITLES, rows, found=found, shown=NODE_SHOWN, quiet=quiet)


@node.command(
    examples="""
    swarmctl node inspect self
    swarmctl node inspect --format '{{.ManagerStatus.Leader}}' self
    """
)
@click.argument("names", metavar="NODE|self...", **arguments("node"))
@click.option(
    "-a", "--all", "all_tasks", is_flag=True, help="Show all tasks, not just those that run"
)
@inspect_format_option
@with_control
async def inspect(
    control: Control, names: tuple[str, ...], all_tasks: bool, form: str, pretty: bool
) -> None:
    """Inspect nodes"""
    found = [await resolve(control, "node", name) for name in names]
    if not pretty and form != "pretty":
        show_objects(form, [docker_objects.node(one) for one in found], found)
        return
    for one in found:
        show_page(_page(one))
        tasks = await tasks_of(control, node_ids=[one.id])
        if tasks:
            click.echo()
            await show_tasks(control, tasks, all_tasks=all_tasks)


@node.command(examples="swarmctl node ps --filter desired-state=running self")
@click.argument("names", metavar="[NODE|self]...", nargs=-1, shell_complete=completion_of("node"))
@ps_options
@with_control
async def ps(control: Control, names: tuple[str, ...], **flags: Any) -> None:
    """List the tasks of nodes: of the one that is asked, if none is named"""
    found = [await resolve(control, "node", name) for name in names or (SELF,)]
    await show_ps(control, await tasks_of(control, node_ids=[one.id for one in found]), **flags)


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
        "CSI Plugins": {one.plugin_name: _csi(one) for one in about.csi_info},
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


def _csi(info: api.NodeCSIInfo) -> str:
    """What the plugin calls the node, where that is, and how many volumes fit."""
    most = f"at most {info.max_volumes_per_node} volumes" if info.max_volumes_per_node else ""
    where = _labels(info.accessible_topology.segments)
    return " ".join(filter(None, (f"as {info.node_id}", where, most)))


def _plugins(engine: api.EngineDescription) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for plugin in sorted(engine.plugins, key=lambda plugin: (plugin.type, plugin.name)):
        kinds.setdefault(plugin.type, []).append(plugin.name)
    return kinds


async def _change(
    control: Control,
    names: tuple[str, ...],
    field: str,
    value: int,
    already: str,
    *,
    force: bool = False,
) -> None:
    for name in names:
        found = await resolve(control, "node", name)
        if getattr(found.spec, field) == value:
            raise SwarmError(f"node {name} is already {already}")
        setattr(found.spec, field, value)
        await _update(control, found, force=force)


async def _update(control: Control, changed: api.Node, *, force: bool = False) -> None:
    request = api.UpdateNodeRequest(
        node_id=changed.id, node_version=changed.meta.version, spec=changed.spec
    )
    try:
        await control.api.UpdateNode(request)
    except grpc.aio.AioRpcError as error:
        if not force or error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
        click.echo(f"Warning: going on, though {error.details()}", err=True)
        await control.api.UpdateNode(request, metadata=(ANY_SIZE, FORCE))


_nodes = click.argument("names", metavar="NODE|self...", **arguments("node"))


@node.command(examples="swarmctl node activate worker1")
@_nodes
@with_control
async def activate(control: Control, names: tuple[str, ...]) -> None:
    """Activate nodes: they get tasks again"""
    await _change(control, names, "availability", _Availability.ACTIVE, "active")


@node.command(examples="swarmctl node pause worker1")
@_nodes
@with_control
async def pause(control: Control, names: tuple[str, ...]) -> None:
    """Pause nodes: their tasks go on, new ones go elsewhere"""
    await _change(control, names, "availability", _Availability.PAUSE, "paused")


@node.command(examples="swarmctl node drain worker1")
@_nodes
@with_control
async def drain(control: Control, names: tuple[str, ...]) -> None:
    """Drain nodes: their tasks move to others"""
    await _change(control, names, "availability", _Availability.DRAIN, "drained")


@node.command(examples="swarmctl node promote worker1 worker2")
@_nodes
@with_control
async def promote(control: Control, names: tuple[str, ...]) -> None:
    """Promote workers to managers"""
    await _change(control, names, "desired_role", api.NodeRole.MANAGER, "a manager")


@node.command(examples="swarmctl node demote manager2")
@_nodes
@click.option("-f", "--force", is_flag=True, help="Say what is at stake, and go on")
@with_control
async def demote(control: Control, names: tuple[str, ...], force: bool) -> None:
    """Demote managers to workers: refused where those that stay would have no quorum"""
    await _change(control, names, "desired_role", api.NodeRole.WORKER, "a worker", force=force)


@node.command(
    examples="""
    swarmctl node update --label-add zone=a --label-rm old worker1
    swarmctl node update --availability drain worker1
    """
)
@click.argument("name", metavar="NODE|self", shell_complete=completion_of("node"))
@click.option("--label", type=PairStrings(), multiple=True, help="Labels (key=value), for all")
@click.option("--label-add", type=PairStrings(), multiple=True, help="Add labels (key=value)")
@click.option("--label-rm", multiple=True, help="Remove labels, by key")
@click.option("--availability", type=click.Choice(("active", "pause", "drain")))
@click.option("--role", type=click.Choice(("worker", "manager")))
@with_control
async def update(control: Control, name: str, **flags: Any) -> None:
    """Update a node: only what a flag names is changed"""
    found = await resolve(control, "node", name)
    before = api.NodeSpec()
    before.CopyFrom(found.spec)
    _merge(found.spec, flags)
    if found.spec == before:
        raise SwarmError(f"no change for node {name}")
    await _update(control, found)


def _merge(spec: api.NodeSpec, flags: dict[str, Any]) -> None:
    labels = spec.annotations.labels
    if flags["label"]:
        labels.clear()
    for key in flags["label_rm"]:
        if key not in labels:
            raise SwarmError(f"the node has no label {key!r}")
        labels.pop(key)
    labels.update(options(flat((*flags["label"], *flags["label_add"]))))
    if flags["availability"]:
        spec.availability = _Availability.Value(flags["availability"].upper())
    if flags["role"]:
        spec.desired_role = api.NodeRole.Value(flags["role"].upper())


@node.command(examples="swarmctl node rm --force worker1")
@_nodes
@click.option("-f", "--force", is_flag=True, help="Remove them although they are up")
@with_control
async def remove(control: Control, names: tuple[str, ...], force: bool) -> None:
    """Remove nodes"""
    for name in names:
        found = await resolve(control, "node", name)
        await control.api.RemoveNode(api.RemoveNodeRequest(node_id=found.id, force=force))
        click.echo(found.id)
