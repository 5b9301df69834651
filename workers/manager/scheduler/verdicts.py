"""What each filter says of each node for one task, in numbers and names (pure).

The filters are the scheduler's own, asked one by one and on past the first that refuses. What is
added here is words alone: a filter decides, `_DETAILS` says by what.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from swarmd import api
from swarmd.api import images, nodes, tasks
from swarmd.api.protos.explain_pb2 import FilterVerdict, NodeVerdict, Placement
from workers.manager import constraints
from workers.manager.scheduler import filters
from workers.manager.scheduler.filters import Filter
from workers.manager.scheduler.node_info import DOCKER_ENGINE, HOST_ENGINE, Demand, NodeInfo
from workers.manager.scheduler.node_set import NodeSet

_NANO: Final = 10**9
_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Question:
    """One task, what it takes, and where it might go."""

    task: api.Task
    demand: Demand
    nodes: NodeSet
    name_of: Callable[[str], str]  # of a service, by its id


def picture(
    found: Iterable[api.Node],
    running: Iterable[api.Task],
    volumes: Iterable[api.Volume],
    besides: str = "",
) -> NodeSet:
    """The cluster as the scheduler counts it, without that one task."""
    made = NodeSet()
    for node in found:
        made.put(node)
    for volume in volumes:
        made.volumes.put(volume)
    for task in running:
        if tasks.is_assigned(task) and task.id != besides:
            made.hold(task)
    return made


def placement(question: Question, candidates: Sequence[NodeInfo], most: int) -> Placement:
    """The verdicts on these nodes, those that come closest first, and the sentence over all."""
    asked = filters.named_filters(question.task, question.demand, question.nodes.volumes)
    fitting, rejected = filters.sift(candidates, asked.values())
    refusals = {node.id: _refusing(asked, node) for node in candidates}
    closest = sorted(candidates, key=lambda node: (len(refusals[node.id]), _hostname(node)))
    return Placement(
        task_id=question.task.id,
        alike=1,
        spec_version=question.task.spec_version.index,
        said=question.task.status.err,
        reason="" if fitting else filters.explain(rejected),
        nodes=[_of_node(question, asked, node, refusals[node.id]) for node in closest[:most]],
        node_count=len(candidates),
        fitting_count=len(fitting),
    )


def _refusing(asked: Mapping[str, Filter], node: NodeInfo) -> Collection[str]:
    return [name for name, each in asked.items() if not each.passes(node)]


def _of_node(
    question: Question, asked: Mapping[str, Filter], node: NodeInfo, refusing: Collection[str]
) -> NodeVerdict:
    verdicts = [
        FilterVerdict(
            filter=name,
            passes=name not in refusing,
            detail=_DETAILS[name](question, node) if name in refusing else "",
        )
        for name in asked
    ]
    return NodeVerdict(
        node_id=node.id, hostname=_hostname(node), fits=not refusing, filters=verdicts
    )


def _hostname(node: NodeInfo) -> str:
    return node.node.description.hostname or node.id


def closed(node: api.Node) -> str:
    """Why no task at all comes to this node; empty where some may."""
    if nodes.is_drained(node):
        return "drained"
    if nodes.is_paused(node):
        return "paused"
    if nodes.is_ready(node):
        return ""
    state = api.NodeStatus.State.Name(node.status.state).lower()
    return f"{state}: {node.status.message}" if node.status.message else state


def _resources(question: Question, node: NodeInfo) -> str:
    demand, offered = question.demand, node.node.description.resources
    parts = []
    if demand.nano_cpus > node.free_cpus:
        parts.append(_lack("CPU", demand.nano_cpus, node.free_cpus, offered.nano_cpus, _cpus))
    if demand.memory_bytes > node.free_memory:
        parts.append(
            _lack("memory", demand.memory_bytes, node.free_memory, offered.memory_bytes, _memory)
        )
    for kind, count in (demand.generic or {}).items():
        free = node.generic.free(kind)
        if count > free:
            parts.append(f"needs {count} {kind}, {free} free")
    return "; ".join(parts)


def _lack(what: str, asked: int, free: int, offered: int, show: Callable[[int], str]) -> str:
    return f"needs {show(asked)} {what}, {show(max(0, free))} of {show(offered)} free"


def _cpus(nano: int) -> str:
    return f"{nano / _NANO:g}"


def _memory(size: int) -> str:
    return f"{size / _MEBIBYTE:g} MiB"


def _plugins(question: Question, node: NodeInfo) -> str:
    have = {(each.type, each.name) for each in node.node.description.engine.plugins}
    wanted = [*filters.named_plugins(question.task), ("Log", question.task.spec.log_driver.name)]
    lacks = [
        f"{kind} {name}"
        for kind, name in wanted
        if name not in ("", "none") and not {(kind, name), (kind, f"{name}:latest")} & have
    ]
    return f"lacks {', '.join(lacks)}"


def _engine(question: Question, node: NodeInfo) -> str:
    host = images.is_host(question.task.spec.container.image)
    wanted = HOST_ENGINE if host else DOCKER_ENGINE
    return f"needs {wanted}, has {', '.join(sorted(node.engines))}"


def _constraints(question: Question, node: NodeInfo) -> str:
    parts = []
    for expression in question.task.spec.placement.constraints:
        for one in constraints.parse([expression]):
            if not constraints.matches([one], node.node):
                found = constraints.value(one.key, node.node)
                known = "nobody knows this key" if found is None else f"is {found or 'not set'}"
                parts.append(f"{expression} ({known})")
    return "; ".join(parts)


def _platform(question: Question, node: NodeInfo) -> str:
    wanted = " or ".join(_platform_name(each) for each in question.task.spec.placement.platforms)
    return f"needs {wanted}, is {_platform_name(node.node.description.platform)}"


def _platform_name(platform: api.Platform) -> str:
    return f"{platform.os or 'any'}/{platform.architecture or 'any'}"


def _host_ports(question: Question, node: NodeInfo) -> str:
    taken = [port for port in question.demand.ports if port in node.ports]
    holders = {
        port: f"{question.name_of(held.demand.kind.service_id)}, task {task_id}"
        for task_id, held in node.tasks.items()
        for port in held.demand.ports
        if port in taken
    }
    return "; ".join(f"{port_name(port)} is held by {holders.get(port, '?')}" for port in taken)


def port_name(port: tuple[int, int]) -> str:
    """8080/tcp."""
    protocol = api.PortConfig.Protocol.Name(api.PortConfig.Protocol.ValueType(port[0]))
    return f"{port[1]}/{protocol.lower()}"


def _max_replicas(question: Question, node: NodeInfo) -> str:
    count = node.by_service.get(question.demand.kind.service_id, 0)
    return f"has {count} of at most {question.demand.max_replicas}"


def _volume(question: Question, _: NodeInfo) -> str:
    return question.nodes.volumes.why(question.task) or "none of them can be had here"


_DETAILS: Final[Mapping[str, Callable[[Question, NodeInfo], str]]] = {
    "ready": lambda _, node: closed(node.node),
    "resources": _resources,
    "plugin": _plugins,
    "engine": _engine,
    "constraint": _constraints,
    "platform": _platform,
    "host port": _host_ports,
    "max replicas": _max_replicas,
    "volume": _volume,
}
