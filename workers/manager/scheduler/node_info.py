"""One node as the scheduler sees it: what is free there, what runs there, what failed there."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from swarmd import api
from swarmd.api import nodes
from swarmd.api.resources import GenericPool, wanted

UNLIMITED: Final = 1 << 62
FAILURES_SECONDS: Final = 5 * 60.0
MAX_FAILURES: Final = 5
HOST_ENGINE: Final = "supervisor"
DOCKER_ENGINE: Final = "docker"

_COMPLETE: Final = api.TaskState.COMPLETE  # looked up once: each look costs as much as a message

Port = tuple[int, int]  # protocol and number


class Kind(NamedTuple):
    """Tasks of one kind are alike: same service, same version of its spec."""

    service_id: str
    spec_version: int
    task_id: str = ""  # set where a task has no spec version: it is alike to no other


@dataclass(frozen=True, slots=True)
class Demand:
    """What each task of a kind takes from its node."""

    kind: Kind
    nano_cpus: int = 0
    memory_bytes: int = 0
    generic: Mapping[str, int] | None = None
    ports: Sequence[Port] = ()
    max_replicas: int = 0

    @property
    def reserves(self) -> bool:
        """Whether it takes CPU, memory or generic resources."""
        return bool(self.nano_cpus or self.memory_bytes or self.generic)


class Held(NamedTuple):
    """One task on a node."""

    demand: Demand
    wanted: bool  # False once it is to stop: it still takes resources, but spreads no more
    generic: Sequence[api.GenericResource]


def kind_of(task: api.Task) -> Kind:
    """The key of the group in which the task is placed."""
    if task.HasField("spec_version"):
        return Kind(task.service_id, task.spec_version.index)
    return Kind(task.service_id, 0, task.id)


def demand_of(task: api.Task) -> Demand:
    """What the task takes from its node."""
    reservations = task.spec.resources.reservations
    ports = task.endpoint.ports
    return Demand(
        kind=kind_of(task),
        nano_cpus=reservations.nano_cpus,
        memory_bytes=reservations.memory_bytes,
        generic=wanted(reservations.generic) or None,
        ports=tuple((port.protocol, port.published_port) for port in ports if _on_host(port)),
        max_replicas=task.spec.placement.max_replicas,
    )


def is_wanted(task: api.Task) -> bool:
    """Whether it is to run, or to complete."""
    return task.desired_state <= _COMPLETE


class NodeInfo:
    """A node with the tasks it holds; its free resources are exact at any time."""

    __slots__ = (
        "by_service",
        "engines",
        "failures",
        "free_cpus",
        "free_memory",
        "generic",
        "id",
        "node",
        "ports",
        "ready",
        "tasks",
        "version",
        "wanted_tasks",
    )

    def __init__(self, node: api.Node) -> None:
        self.id = node.id
        self.tasks: dict[str, Held] = {}
        self.wanted_tasks = 0
        self.by_service: dict[str, int] = {}
        self.ports: dict[Port, int] = {}
        self.failures: dict[Kind, deque[float]] = {}
        self.describe(node)

    def describe(self, node: api.Node) -> None:
        """The node changed: what it offers now, less what its tasks take."""
        self.node = node
        self.version = node.meta.version.index
        self.ready = nodes.can_take_tasks(node)
        self.engines = _engines(node)
        offered = node.description.resources
        self.free_cpus, self.free_memory = offered.nano_cpus, offered.memory_bytes
        self.generic = GenericPool(offered.generic)
        for held in self.tasks.values():
            self._reserve(held.demand, 1)
            self.generic.take(held.generic)

    def hold(self, task_id: str, held: Held) -> None:
        """Count the task in, or what is new about it; asking again changes nothing."""
        before = self.tasks.get(task_id)
        self.tasks[task_id] = held if before is None else before._replace(wanted=held.wanted)
        if before is None:
            self._take(held.demand, 1)
            self.generic.take(held.generic)
        change = held.wanted - (before is not None and before.wanted)
        self._count(held.demand.kind.service_id, change)

    def hold_new(self, task_ids: Sequence[str], demand: Demand) -> None:
        """Count in tasks that are not here yet, all alike and without generic resources."""
        self.tasks.update(dict.fromkeys(task_ids, Held(demand, wanted=True, generic=())))
        self._take(demand, len(task_ids))
        self._count(demand.kind.service_id, len(task_ids))

    def let_go(self, task_id: str) -> bool:
        """Count the task out; False where it was not here."""
        held = self.tasks.pop(task_id, None)
        if held is None:
            return False
        self._take(held.demand, -1)
        self.generic.release(held.generic)
        self._count(held.demand.kind.service_id, -held.wanted)
        return True

    def room(self, demand: Demand) -> int:
        """How many more tasks with this demand the node can hold."""
        room = self.resource_room(demand)
        if demand.ports:
            room = min(room, 1)  # the second would want the same ports
        if demand.max_replicas:
            count = self.by_service.get(demand.kind.service_id, 0)
            room = min(room, demand.max_replicas - count)
        return max(room, 0)

    def resource_room(self, demand: Demand) -> int:
        """As `room`, but asking for resources alone."""
        room = UNLIMITED
        if demand.nano_cpus:
            room = self.free_cpus // demand.nano_cpus
        if demand.memory_bytes:
            room = min(room, self.free_memory // demand.memory_bytes)
        if demand.generic and room > 0:
            room = min(room, self.generic.capacity(demand.generic, room))
        return room

    def record_failure(self, kind: Kind, now: float) -> int:
        """A task of this kind failed here; gives how many did so lately."""
        self.failures.setdefault(kind, deque()).append(now)
        for old in [old for old in self.failures if not self.recent_failures(old, now)]:
            del self.failures[old]
        return self.recent_failures(kind, now)

    def recent_failures(self, kind: Kind, now: float) -> int:
        """How many tasks of this kind failed here in the last five minutes."""
        recent = self.failures.get(kind)
        if recent is None:
            return 0
        while recent and recent[0] <= now - FAILURES_SECONDS:
            recent.popleft()
        return len(recent)

    def _take(self, demand: Demand, count: int) -> None:
        self._reserve(demand, count)
        for port in demand.ports:
            self.ports[port] = self.ports.get(port, 0) + count
            if not self.ports[port]:
                del self.ports[port]

    def _reserve(self, demand: Demand, count: int) -> None:
        self.free_cpus -= demand.nano_cpus * count
        self.free_memory -= demand.memory_bytes * count

    def _count(self, service_id: str, change: int) -> None:
        if not change:
            return
        self.wanted_tasks += change
        self.by_service[service_id] = self.by_service.get(service_id, 0) + change
        if not self.by_service[service_id]:
            del self.by_service[service_id]


def _on_host(port: api.PortConfig) -> bool:
    return port.publish_mode == api.PortConfig.PublishMode.HOST and port.published_port != 0


def _engines(node: api.Node) -> frozenset[str]:
    """What the node says it has; stock agents say nothing of it, and have Docker."""
    names = _engine_names(node.description.engine.plugins)
    return names or frozenset({DOCKER_ENGINE})


def _engine_names(plugins: Iterable[api.PluginDescription]) -> frozenset[str]:
    return frozenset(plugin.name for plugin in plugins if plugin.type == "Engine")
