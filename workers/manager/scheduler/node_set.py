"""The nodes, and which task is on which of them."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Final

from swarmd import api
from workers.manager.scheduler.filters import Filter, Rejected, sift
from workers.manager.scheduler.node_info import (
    Demand,
    Held,
    Kind,
    NodeInfo,
    demand_of,
    is_wanted,
    kind_of,
)
from workers.manager.scheduler.volumes import VolumeSet

_REMEMBERED: Final = (
    64  # sets of standing filters; each may hold as many entries as there are nodes
)


class NodeSet:
    """Every node of the store, with the tasks that it holds, and the volumes that these use."""

    def __init__(self) -> None:
        self.volumes = VolumeSet()
        self._nodes: dict[str, NodeInfo] = {}
        self._demands: dict[Kind, Demand] = {}
        self._standing: dict[Hashable, tuple[Sequence[NodeInfo], list[Rejected]]] = {}

    def __iter__(self) -> Iterator[NodeInfo]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, node_id: str) -> NodeInfo | None:
        return self._nodes.get(node_id)

    def fitting(self, filters: Sequence[Filter]) -> tuple[Sequence[NodeInfo], list[Rejected]]:
        """The nodes that pass all of the filters, and how many each of the others rejected.

        What standing filters say is remembered.
        """
        standing = [each for each in filters if each.standing is not None]
        names = tuple(each.standing for each in standing)
        known = self._standing.get(names)
        if known is None:
            if len(self._standing) >= _REMEMBERED:
                self._standing.clear()
            known = self._standing[names] = sift(list(self), standing)
        fitting, rejected = sift(known[0], [each for each in filters if each.standing is None])
        return fitting, known[1] + rejected

    def put(self, node: api.Node) -> bool:
        """The node as it is now; True where it is a new one, whose tasks are not counted yet."""
        self._standing.clear()
        info = self._nodes.get(node.id)
        if info is not None:
            info.describe(node)
            return False
        self._nodes[node.id] = NodeInfo(node)
        return True

    def drop(self, node_id: str) -> None:
        self._standing.clear()
        self._nodes.pop(node_id, None)

    def hold(self, task: api.Task) -> None:
        """Count the task in on its node; a node that is not there holds volumes alone."""
        self.volumes.hold(task)
        info = self._nodes.get(task.node_id)
        if info is not None:
            assigned = tuple(task.assigned_generic_resources)
            info.hold(task.id, Held(self.demand(task), is_wanted(task), assigned))

    def holds(self, task: api.Task) -> bool:
        info = self._nodes.get(task.node_id)
        return info is not None and task.id in info.tasks

    def let_go(self, task_id: str, node_id: str) -> bool:
        """Count the task out; False where that node did not hold it."""
        frees_volumes = self.volumes.let_go(task_id)
        info = self._nodes.get(node_id)
        return (info is not None and info.let_go(task_id)) or frees_volumes

    def demand(self, task: api.Task) -> Demand:
        """What the task takes: worked out once for all that are alike."""
        kind = kind_of(task)
        demand = self._demands.get(kind)
        if demand is None:
            demand = demand_of(task)
            if not kind.task_id:
                self._demands[kind] = demand
        return demand

    def forget_kinds(self, service_id: str) -> None:
        """The service is gone: nothing of its kind comes again."""
        for kind in [kind for kind in self._demands if kind.service_id == service_id]:
            del self._demands[kind]
