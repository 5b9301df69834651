"""May a task run on a node, and if not, why not?

`filters_for` gives the questions that matter for a task, in order. A node is rejected by the first
that it fails; a rejection is told by filter and number of nodes. Standing filters ask about the
node alone, the others about what it holds at the moment.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from swarmd import api
from swarmd.api import images
from workers.manager import constraints
from workers.manager.scheduler.node_info import DOCKER_ENGINE, HOST_ENGINE, Demand, NodeInfo
from workers.manager.scheduler.volumes import VolumeSet, mounts

_SAME_ARCHITECTURE: Final = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Filter:
    """A question to a node, and the words for those that fail it."""

    passes: Callable[[NodeInfo], bool]
    words: str  # {} stands for "1 node" or "3 nodes"
    standing: Hashable = None  # a name for the question, where the answer is the node's alone

    def explain(self, count: int) -> str:
        return self.words.format("1 node" if count == 1 else f"{count} nodes")


Rejected = tuple[Filter, int]  # … and so many nodes


def filters_for(task: api.Task, demand: Demand, volumes: VolumeSet) -> list[Filter]:
    """What to ask of a node, for this task and all that are alike."""
    return list(named_filters(task, demand, volumes).values())


def named_filters(task: api.Task, demand: Demand, volumes: VolumeSet) -> dict[str, Filter]:
    """The same, each under the name that people know it by, in order."""
    found = {
        "ready": _READY,
        "resources": _resources(demand),
        "plugin": _plugins(task),
        "engine": _engine(task),
        "constraint": _constraints(task),
        "platform": _platform(task),
        "host port": _host_ports(demand),
        "max replicas": _max_replicas(demand),
        "volume": _cluster_volumes(task, volumes),
    }
    return {name: each for name, each in found.items() if each is not None}


def sift(
    nodes: Sequence[NodeInfo], filters: Iterable[Filter]
) -> tuple[Sequence[NodeInfo], list[Rejected]]:
    """The nodes that pass all of the filters, and how many each of the others rejected."""
    rejected: list[Rejected] = []
    for each in filters:
        passes = each.passes
        kept = [node for node in nodes if passes(node)]
        if len(kept) < len(nodes):
            rejected.append((each, len(nodes) - len(kept)))
        nodes = kept
    return nodes, rejected


def explain(rejected: Iterable[Rejected]) -> str:
    """Why no node is left: the filter that rejected most comes first."""
    ordered = sorted(rejected, key=lambda entry: -entry[1])
    return "; ".join(each.explain(count) for each, count in ordered)


_READY: Final = Filter(lambda node: node.ready, "{} not available for new tasks", "ready")
_NEEDS_HOST: Final = Filter(
    lambda node: HOST_ENGINE in node.engines, "no engine for host tasks on {}", HOST_ENGINE
)
_NEEDS_DOCKER: Final = Filter(
    lambda node: DOCKER_ENGINE in node.engines, "no engine for containers on {}", DOCKER_ENGINE
)


def _resources(demand: Demand) -> Filter | None:
    words = "insufficient resources on {}"
    cpus, memory = demand.nano_cpus, demand.memory_bytes
    if demand.generic:
        return Filter(lambda node: node.resource_room(demand) > 0, words)
    if not cpus and not memory:
        return None
    # The common case asks the fields themselves: this runs for each node and each group.
    return Filter(lambda node: node.free_cpus >= cpus and node.free_memory >= memory, words)


def _plugins(task: api.Task) -> Filter | None:
    wanted = named_plugins(task)
    log_driver = task.spec.log_driver.name
    if not wanted and log_driver in ("", "none"):
        return None

    def passes(node: NodeInfo) -> bool:
        if not node.node.description.HasField("engine"):
            return True  # it has no engine, so it does not know what plugins are
        have = {(plugin.type, plugin.name) for plugin in node.node.description.engine.plugins}
        if not all(_has(have, kind, name) for kind, name in wanted):
            return False
        # A node that lists no log driver at all is too old to list them.
        silent = log_driver in ("", "none") or not any(kind == "Log" for kind, _ in have)
        return silent or _has(have, "Log", log_driver)

    return Filter(passes, "missing plugin on {}", (*wanted, log_driver))


def named_plugins(task: api.Task) -> list[tuple[str, str]]:
    """The plugins that it names, as type and name; its log driver is another matter."""
    return [*_volume_plugins(task), *_network_plugins(task)]


def _has(have: set[tuple[str, str]], kind: str, name: str) -> bool:
    return (kind, name) in have or (kind, f"{name}:latest") in have


def _volume_plugins(task: api.Task) -> Iterable[tuple[str, str]]:
    for mount in task.spec.container.mounts:
        name = mount.volume_options.driver_config.name
        if mount.type == api.Mount.Type.VOLUME and name not in ("", "local"):
            yield "Volume", name


def _network_plugins(task: api.Task) -> Iterable[tuple[str, str]]:
    for attachment in task.networks:
        if name := attachment.network.driver_state.name:
            yield "Network", name


def _engine(task: api.Task) -> Filter | None:
    if not task.spec.HasField("container"):
        return None
    if images.is_host(task.spec.container.image):
        return _NEEDS_HOST
    return _NEEDS_DOCKER


def _constraints(task: api.Task) -> Filter | None:
    expressions = tuple(task.spec.placement.constraints)
    if not expressions:
        return None
    parsed = _parsed(expressions)
    words = "scheduling constraints not satisfied on {}"
    return Filter(lambda node: constraints.matches(parsed, node.node), words, expressions)


@lru_cache(maxsize=1024)
def _parsed(expressions: Sequence[str]) -> Sequence[constraints.Constraint]:
    """The control API refuses bad ones; one that is there all the same holds nothing up."""
    try:
        return constraints.parse(expressions)
    except constraints.InvalidConstraintError:
        return ()


def _platform(task: api.Task) -> Filter | None:
    wanted = frozenset(_platform_key(each) for each in task.spec.placement.platforms)
    if not wanted:
        return None

    def passes(node: NodeInfo) -> bool:
        if not node.node.description.HasField("platform"):
            return False
        arch, os = _platform_key(node.node.description.platform)
        # A platform may leave either part open.
        return not wanted.isdisjoint({(arch, os), (arch, ""), ("", os), ("", "")})

    return Filter(passes, "unsupported platform on {}", wanted)


def _platform_key(platform: api.Platform) -> tuple[str, str]:
    arch = platform.architecture
    return _SAME_ARCHITECTURE.get(arch, arch), platform.os


def _host_ports(demand: Demand) -> Filter | None:
    ports = demand.ports
    if not ports:
        return None
    words = "host-mode port already in use on {}"
    return Filter(lambda node: node.ports.keys().isdisjoint(ports), words)


def _max_replicas(demand: Demand) -> Filter | None:
    most, service_id = demand.max_replicas, demand.kind.service_id
    if not most:
        return None
    words = "max replicas per node limit exceed"  # SwarmKit's wording, which counts no nodes
    return Filter(lambda node: node.by_service.get(service_id, 0) < most, words)


def _cluster_volumes(task: api.Task, volumes: VolumeSet) -> Filter | None:
    if not mounts(task):
        return None
    why = volumes.why(task).replace("{", "{{").replace("}", "}}")  # names hold what users like
    words = "cannot fulfill requested CSI volume mounts on {}" + (f" ({why})" if why else "")
    return Filter(lambda node: volumes.choose(task, node) is not None, words)
