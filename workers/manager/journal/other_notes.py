"""What a change of a service, a node or a breaker says (pure)."""

from collections.abc import Iterable
from typing import Any, Final

from swarmd import api
from swarmd.api import breakers, services
from swarmd.api.protos.governor_pb2 import Breaker
from swarmd.store import Created, Deleted, Updated
from workers.manager.journal.entries import Note

_AVAILABILITY: Final = {
    api.NodeSpec.Availability.ACTIVE: "activated",
    api.NodeSpec.Availability.PAUSE: "paused",
    api.NodeSpec.Availability.DRAIN: "drained",
}


def node_matters(event: Any) -> bool:
    """Nodes change with each description that their agents send; few of these are news."""
    if not isinstance(event, Updated):
        return True
    new, old = event.object, event.old
    return bool(
        new.status.state != old.status.state
        or new.spec.availability != old.spec.availability
        or new.role != old.role
    )


def of_service(change: Any) -> Iterable[Note]:
    """It came, went, is asked for something else, or its update went on."""
    one: api.Service = change.object
    if isinstance(change, Created):
        yield _of(one, "created", _size(one))
    elif isinstance(change, Deleted):
        yield _of(one, "removed", "by command")
    else:
        yield from _service_changed(one, change.old)


def of_node(change: Any) -> Iterable[Note]:
    """It came, went, or may have other tasks than before."""
    one: api.Node = change.object
    if isinstance(change, Created):
        yield Note("joined", node_id=one.id)
        return
    if isinstance(change, Deleted):
        yield Note("removed", "by command", node_id=one.id)
        return
    old = change.old
    if one.status.state != old.status.state:
        state = api.NodeStatus.State.Name(one.status.state).lower()
        yield Note(state, one.status.message, node_id=one.id)
    if one.spec.availability != old.spec.availability:
        yield Note(_AVAILABILITY.get(one.spec.availability, "changed"), node_id=one.id)
    if one.role != old.role:
        promoted = one.role == api.NodeRole.MANAGER
        yield Note("promoted" if promoted else "demoted", node_id=one.id)


def of_breaker(change: Any, service: api.Service | None) -> Iterable[Note]:
    """It holds its service, tries a task, or lets go."""
    one: Breaker = change.object
    if service is None or isinstance(change, Deleted):
        return
    old = change.old.state if isinstance(change, Updated) else Breaker.State.CLOSED
    if one.state == old:
        return
    if one.state == Breaker.State.CLOSED:
        yield _of(service, "released", one.reason)
    elif one.state == Breaker.State.PROBING:
        yield _of(service, "probed", f"task {one.probe_task_id} is started, to see")
    elif old == Breaker.State.PROBING:
        yield _of(service, "held", "the task that was tried ended too")
    else:
        yield _of(service, "held", breakers.cause(one))


def _service_changed(new: api.Service, old: api.Service) -> Iterable[Note]:
    if new.spec_version != old.spec_version or new.spec != old.spec:
        back = services.rolling_back(new) and not services.rolling_back(old)
        word = "rolled back" if back else "updated"
        yield _of(new, word, f"to version {new.spec_version.index}{_scaled(new, old)}")
    state = new.update_status.state
    if state != old.update_status.state and new.update_status.message:
        yield _of(new, "update", new.update_status.message)


def _scaled(new: api.Service, old: api.Service) -> str:
    before, after = old.spec.replicated.replicas, new.spec.replicated.replicas
    return "" if before == after else f", from {before} to {after} replicas"


def _size(service: api.Service) -> str:
    if services.is_replicated(service):
        return f"with {service.spec.replicated.replicas} replicas"
    return services.mode(service).replace("_", " ")


def _of(service: api.Service, what: str, why: str) -> Note:
    name = service.spec.annotations.name
    return Note(what, why, service_id=service.id, service_name=name)
