"""Short ways to call a handler, and to say what it refused."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import pytest

from swarmd import api
from swarmd.errors import Status, SwarmError
from swarmd.store import Store
from tests import builders
from workers.manager.control.server import ControlServicer

INVALID = Status.INVALID_ARGUMENT
INVALID_ARGUMENT = (INVALID, "invalid argument")


@dataclass(frozen=True)
class OnlyMember:
    """The managers as a group of one, which leads."""

    node_id: str
    addr: str = "10.0.0.1:4242"
    alone: str = "this cluster's store is one manager's own"

    def refusal(self) -> str:
        return self.alone

    def status(self, node_id: str) -> api.ManagerStatus | None:
        if node_id != self.node_id:
            return None
        reachable = api.RaftMemberStatus.Reachability.REACHABLE
        return api.ManagerStatus(raft_id=1, addr=self.addr, leader=True, reachability=reachable)


async def refusal(call: Awaitable[Any]) -> tuple[Status, str]:
    """The status and the sentence with which the call is refused."""
    with pytest.raises(SwarmError) as caught:
        await call
    return caught.value.status, str(caught.value)


def fault(check: Any, *arguments: Any) -> tuple[Status, str] | None:
    """The same of a plain check; None where it has no objection."""
    try:
        check(*arguments)
    except SwarmError as error:
        return error.status, str(error)
    return None


def spec(name: str = "web", **fields: Any) -> api.ServiceSpec:
    """A sound replicated service's; a field that is given replaces the whole field."""
    sound: dict[str, Any] = {
        "annotations": {"name": name},
        "task": {"container": {"image": "img:1"}},
        "replicated": {"replicas": 1},
    }
    if {"global", "global_job", "replicated_job", "mode"} & fields.keys():
        del sound["replicated"]
    fields.pop("mode", None)
    return api.ServiceSpec(**(sound | fields))


def container(**fields: Any) -> dict[str, Any]:
    """The task field of a service with that container."""
    return {"task": {"container": {"image": "img:1", **fields}}}


async def put(store: Store, *objects: Any) -> None:
    """Store them, each in the table of its kind."""

    def create(tx: Any) -> None:
        for one in objects:
            getattr(tx, type(one).__name__.lower() + "s").create(one)

    await store.update(create)


async def stored_service(store: Store, **fields: Any) -> api.Service:
    service = builders.service(**fields)
    await put(store, service)
    return service


def names(objects: Any) -> list[str]:
    """The sorted names of objects that have a spec."""
    return sorted(one.spec.annotations.name for one in objects)


async def create_service(control: ControlServicer, **fields: Any) -> api.Service:
    answer = await control.CreateService(api.CreateServiceRequest(spec=spec(**fields)), None)
    return answer.service


def service_change(service: api.Service, **fields: Any) -> api.UpdateServiceRequest:
    """A request for that service with these fields of its spec replaced."""
    wanted = spec(**({"name": service.spec.annotations.name} | fields))
    return api.UpdateServiceRequest(
        service_id=service.id, service_version=service.meta.version, spec=wanted
    )


async def update_service(
    control: ControlServicer, service: api.Service, **fields: Any
) -> api.Service:
    return (await control.UpdateService(service_change(service, **fields), None)).service
