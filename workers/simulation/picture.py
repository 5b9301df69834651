"""The cluster as its commits tell it: the tasks by slot and by node, and when each was let go.

This is the checker's own picture, made from the events alone: it asks nothing of the components.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from swarmd import api
from swarmd.api.protos.governor_pb2 import Breaker

Place = tuple[str, int, str]  # service, slot, node of a service with one task on each node
ASSIGNED: Final = api.TaskState.ASSIGNED
RUNNING: Final = api.TaskState.RUNNING
COMPLETE: Final = api.TaskState.COMPLETE
READY: Final = api.TaskState.READY
_NODE_READY: Final = api.NodeStatus.State.READY
_NODE_DOWN: Final = api.NodeStatus.State.DOWN
_ACTIVE: Final = api.NodeSpec.Availability.ACTIVE
_DRAIN: Final = api.NodeSpec.Availability.DRAIN
_START_FIRST: Final = api.UpdateConfig.UpdateOrder.START_FIRST
_HOST: Final = api.PortConfig.PublishMode.HOST


@dataclass(slots=True)
class Picture:
    """What is committed."""

    nodes: dict[str, api.Node] = field(default_factory=dict)
    services: dict[str, api.Service] = field(default_factory=dict)
    tasks: dict[str, api.Task] = field(default_factory=dict)
    breakers: dict[str, Breaker] = field(default_factory=dict)
    slots: dict[Place, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    on_node: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    per_node: set[str] = field(default_factory=set)
    """The services that have one task on each node; those that are gone too."""
    overlaps: set[str] = field(default_factory=set)
    """The services that were ever asked to start the new task before the old one stops."""
    arrived: dict[str, float] = field(default_factory=dict)

    def put_service(self, service: api.Service) -> None:
        self.services[service.id] = service
        spec = service.spec
        if spec.WhichOneof("mode") in ("global", "global_job"):
            self.per_node.add(service.id)
        if _START_FIRST in (spec.update.order, spec.rollback.order):
            self.overlaps.add(service.id)

    def put_task(self, task: api.Task, now: float) -> None:
        old = self.tasks.get(task.id)
        self.tasks[task.id] = task
        if old is None or old.node_id != task.node_id:
            self.slots[self.place(task)][task.id] = None
            if task.node_id:
                self.on_node[task.node_id][task.id] = None
        self.arrived.setdefault(task.id, now)

    def drop_task(self, task: api.Task) -> None:
        self.tasks.pop(task.id, None)
        self.slots[self.place(task)].pop(task.id, None)
        self.on_node[task.node_id].pop(task.id, None)
        self.arrived.pop(task.id, None)

    def place(self, task: api.Task) -> Place:
        node_id = task.node_id if task.service_id in self.per_node else ""
        return task.service_id, task.slot, node_id

    def slot(self, place: Place) -> list[api.Task]:
        return [self.tasks[one] for one in self.slots.get(place, ())]

    def neighbours(self, task: api.Task) -> list[api.Task]:
        """The others of its slot, of the same run of a job."""
        found = self.slot(self.place(task))
        iteration = task.job_iteration.index
        return [one for one in found if one is not task and one.job_iteration.index == iteration]

    def tasks_on(self, node_id: str) -> list[api.Task]:
        """Those that take resources there."""
        found = (self.tasks[one] for one in self.on_node.get(node_id, ()))
        return [task for task in found if ASSIGNED <= task.status.state <= RUNNING]

    def is_lost(self, node_id: str) -> bool:
        """Nobody can say what runs there."""
        node = self.nodes.get(node_id)
        return node is None or node.status.state == _NODE_DOWN


def is_wanted(task: api.Task) -> bool:
    return task.desired_state <= COMPLETE


def may_run(task: api.Task) -> bool:
    """It was let go, has a node, and has not ended as far as is known."""
    return ASSIGNED <= task.status.state <= RUNNING and task.desired_state != READY


def takes_tasks(node: api.Node) -> bool:
    return node.status.state == _NODE_READY and node.spec.availability == _ACTIVE


def keeps_tasks(node: api.Node) -> bool:
    return node.status.state != _NODE_DOWN and node.spec.availability != _DRAIN


def meets(node: api.Node, expressions: Iterable[str]) -> bool:
    """The constraints, of which the simulation only knows those on labels."""
    labels = node.spec.annotations.labels
    for expression in expressions:
        differs = "!=" in expression
        key, _, wanted = expression.partition("!=" if differs else "==")
        value = labels.get(key.removeprefix("node.labels."), "")
        if (value == wanted) == differs:
            return False
    return True


def host_ports(task: api.Task) -> set[tuple[int, int]]:
    ports = task.endpoint.ports
    return {(port.protocol, port.published_port) for port in ports if port.publish_mode == _HOST}


def lacks_room(node: api.Node, others: Iterable[api.Task], task: api.Task) -> str:
    """Which resource the node has not enough of for all of these; "" where all fit."""
    offered = node.description.resources
    everyone = [*others, task]
    asked = [one.spec.resources.reservations for one in everyone]
    if sum(one.nano_cpus for one in asked) > offered.nano_cpus:
        return "CPUs"
    if sum(one.memory_bytes for one in asked) > offered.memory_bytes:
        return "memory"
    return _lacks_generic(offered.generic, [wanted_generic(one) for one in everyone])


def wanted_generic(task: api.Task) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for one in task.spec.resources.reservations.generic:
        found[one.discrete_resource_spec.kind] += one.discrete_resource_spec.value
    return found


def names_given(task: api.Task) -> list[tuple[str, str]]:
    """The named resources that it got."""
    given = task.assigned_generic_resources
    named = [one.named_resource_spec for one in given if one.HasField("named_resource_spec")]
    return [(one.kind, one.value) for one in named]


def _lacks_generic(offered: Iterable[api.GenericResource], asked: list[dict[str, int]]) -> str:
    if not any(asked):
        return ""
    room: dict[str, int] = defaultdict(int)
    for one in offered:
        if one.HasField("discrete_resource_spec"):
            room[one.discrete_resource_spec.kind] += one.discrete_resource_spec.value
        else:
            room[one.named_resource_spec.kind] += 1
    for wants in asked:
        for kind, count in wants.items():
            room[kind] -= count
            if room[kind] < 0:
                return kind
    return ""
