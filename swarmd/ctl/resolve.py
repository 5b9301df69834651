"""A name or an id prefix to one object, and ids back to names."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from grpc import aio

from swarmd import api
from swarmd.ctl.connection import Control
from swarmd.errors import InvalidArgumentError, NotFoundError
from swarmd.rpc.channel import node_behind

SELF: Final = "self"

_LISTED: Final[dict[str, tuple[type[Message], str]]] = {
    "cluster": (api.ListClustersRequest, "clusters"),
    "config": (api.ListConfigsRequest, "configs"),
    "network": (api.ListNetworksRequest, "networks"),
    "node": (api.ListNodesRequest, "nodes"),
    "secret": (api.ListSecretsRequest, "secrets"),
    "service": (api.ListServicesRequest, "services"),
    "task": (api.ListTasksRequest, "tasks"),
    "volume": (api.ListVolumesRequest, "volumes"),
}


async def resolve(control: Control, kind: str, wanted: str) -> Any:
    """The one object of that kind with this id, name or id prefix, in this order.

    Raises NotFoundError, and InvalidArgumentError that lists the candidates of an ambiguous one.
    """
    if not wanted:
        raise InvalidArgumentError(f"{kind} must be given by name or id")
    if kind == "node" and wanted == SELF:
        wanted = await self_id(control)
    by_prefix = await _list(control, kind, id_prefixes=[wanted])
    exact = [one for one in by_prefix if one.id == wanted]
    named = [] if exact else await _by_name(control, kind, wanted)
    for found in (exact, named, by_prefix):
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidArgumentError(_ambiguous(kind, wanted, found))
    raise NotFoundError(kind, wanted)


async def list_all(control: Control, kind: str) -> list[Any]:
    """Every object of that kind."""
    return await _list(control, kind)


async def self_id(control: Control) -> str:
    """The node whose manager is asked."""
    return await asyncio.to_thread(node_behind, control.settings.socket)


async def tasks_of(
    control: Control, *, service_ids: Sequence[str] = (), node_ids: Sequence[str] = ()
) -> list[api.Task]:
    """The tasks of any of these services or nodes."""
    filters = {"service_ids": service_ids, "node_ids": node_ids}
    return await _list(control, "task", **{name: ids for name, ids in filters.items() if ids})


async def list_labelled(control: Control, kind: str, labels: Mapping[str, str]) -> list[Any]:
    """Those with all of these labels; an empty value stands for any."""
    return await _list(control, kind, labels=labels)


async def list_named(control: Control, kind: str, names: Iterable[str]) -> dict[str, Any]:
    """Those of these names that are there, by name."""
    wanted = set(names)
    found = await _list(control, kind, names=sorted(wanted)) if wanted else []
    return {name_of(one): one for one in found if name_of(one) in wanted}


async def _by_name(control: Control, kind: str, name: str) -> list[Any]:
    found = [one for one in await _list(control, kind, names=[name]) if name_of(one)]
    if kind == "task":  # a task is called web.1, which the API has no filter for
        found = [one for one in await _list(control, kind) if name_of(one) == name]
        live = [one for one in found if one.desired_state <= api.TaskState.RUNNING]
        return live or found
    return [one for one in found if name_of(one).lower() == name.lower()]


async def _list(control: Control, kind: str, **filters: Any) -> list[Any]:
    """In pages; in one answer from a manager that has none, as SwarmKit's have not."""
    make, field = _LISTED[kind]
    request = make(filters=filters) if filters else make()
    name = f"List{field.capitalize()}"
    try:
        return [
            one
            async for page in getattr(control.pages, name)(request)
            for one in getattr(page, field)
        ]
    except aio.AioRpcError as error:
        if error.code() != grpc.StatusCode.UNIMPLEMENTED:
            raise
    return list(getattr(await getattr(control.api, name)(request), field))


def _ambiguous(kind: str, wanted: str, found: Sequence[Any]) -> str:
    some = ", ".join(f"{name_of(one)} ({one.id})" for one in found[:4])
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""  # noqa: PLR2004 - as shown
    return f"{kind} {wanted} is ambiguous: {some}{more}"


def name_of(one: Any) -> str:
    """What people call an object: its name, a node's host name, a task's service and slot."""
    if isinstance(one, api.Task):
        service = one.service_annotations.name or one.service_id
        return f"{service}.{one.slot or one.node_id}"
    name: str = one.spec.annotations.name
    if not name and isinstance(one, api.Node):
        return str(one.description.hostname)
    return name


class Names:
    """Ids to names, each kind asked for once; the ids themselves with --no-resolve."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._known: dict[str, dict[str, str]] = {}

    async def of(self, kind: str) -> dict[str, str]:
        """The names of every object of that kind, by id."""
        if kind not in self._known:
            listed = [] if self._control.settings.no_resolve else await _list(self._control, kind)
            self._known[kind] = {one.id: name_of(one) for one in listed}
        return self._known[kind]
