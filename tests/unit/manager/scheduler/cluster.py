"""What the scheduler's tests are built from."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from swarmd import api
from tests import builders
from workers.manager.scheduler.node_set import NodeSet
from workers.manager.scheduler.placement import Placement


def node(name: str, *, engines: Sequence[str] = (), **fields: Any) -> api.Node:
    """A ready node whose id is its name."""
    built = builders.node(name, **fields)
    built.id = name
    for engine in engines:
        built.description.engine.plugins.add(type="Engine", name=engine)
    return built


def node_set(*nodes: api.Node) -> NodeSet:
    made = NodeSet()
    for each in nodes:
        made.put(each)
    return made


def tasks(count: int, *, image: str = "nginx", service_id: str = "web", **fields: Any):
    """Alike tasks that wait for a node; `fields` are TaskSpec's, besides its container."""
    spec = api.TaskSpec(container=api.ContainerSpec(image=image), **fields)
    return [
        api.Task(
            id=f"{service_id}-{number}",
            service_id=service_id,
            spec=spec,
            spec_version=api.Version(index=1),
            status=api.TaskStatus(state=api.TaskState.PENDING, message="pending task scheduling"),
            desired_state=api.TaskState.RUNNING,
        )
        for number in range(count)
    ]


def reserving(**resources: Any) -> dict[str, Any]:
    reservations = api.Resources(**resources)
    return {"resources": api.ResourceRequirements(reservations=reservations)}


def counts(placement: Placement) -> dict[str, int]:
    """How many tasks each node got."""
    return dict(Counter(each.node.id for each in placement.assigned))
