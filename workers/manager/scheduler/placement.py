"""Which task goes to which node: alike tasks at once, dealt out by counting.

`place` also counts the tasks in on the nodes it chose, so that the next call knows of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

from swarmd import api
from workers.manager.scheduler.filters import explain, filters_for, sift
from workers.manager.scheduler.node_info import Demand, Held, NodeInfo
from workers.manager.scheduler.node_set import NodeSet
from workers.manager.scheduler.spread import Share, by_failures, emptiest, shares, tree
from workers.manager.scheduler.volumes import VolumeSet, mounts


class Assignment(NamedTuple):
    """A task, the node it is to run on as the decision saw it, and what it gets there."""

    task: api.Task
    node: NodeInfo
    node_version: int
    generic: Sequence[api.GenericResource]
    volumes: Sequence[api.VolumeAttachment] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """What came of a group of alike tasks."""

    assigned: list[Assignment] = field(default_factory=list)
    left: Sequence[api.Task] = ()
    reason: str = ""  # why those were left, by filter and number of nodes
    elsewhere: str = ""  # why the assigned ones are not on the nodes that did not fit, likewise


def place(nodes: NodeSet, tasks: Sequence[api.Task], now: float) -> Placement:
    """Nodes for as many of these alike tasks as fit, spread as their spec prefers."""
    if mounts(tasks[0]):
        return _place_one_by_one(nodes, tasks, now)
    return _place(nodes, tasks, now)


def _place_one_by_one(nodes: NodeSet, tasks: Sequence[api.Task], now: float) -> Placement:
    """What volumes one task gets decides which are left for the next."""
    assigned: list[Assignment] = []
    elsewhere = ""
    for number, task in enumerate(tasks):
        placed = _place(nodes, [task], now)
        if not placed.assigned:
            return Placement(assigned, tasks[number:], placed.reason, elsewhere)
        assigned += placed.assigned
        elsewhere = placed.elsewhere
    return Placement(assigned, elsewhere=elsewhere)


def _place(nodes: NodeSet, tasks: Sequence[api.Task], now: float) -> Placement:
    task, demand = tasks[0], nodes.demand(tasks[0])
    filters = filters_for(task, demand, nodes.volumes)
    deal = partial(_deal, demand=demand, now=now)
    (fitting, rejected), preferences = nodes.fitting(filters), task.spec.placement.preferences
    if preferences:
        room = {node.id: node.room(demand) for node in fitting}
        dealt = tree(nodes, room, demand.kind.service_id, preferences).deal(len(tasks), deal)
    else:
        dealt = deal(fitting, len(tasks))
    elsewhere = explain(rejected)
    assigned = _assign(dealt, tasks, demand, nodes.volumes)
    if len(assigned) == len(tasks):
        return Placement(assigned, elsewhere=elsewhere)
    # Nodes that fitted are full now: asked again, they say of what.
    _, rejected = sift(list(nodes), filters)
    return Placement(assigned, tasks[len(assigned) :], explain(rejected), elsewhere)


def place_here(nodes: NodeSet, task: api.Task) -> Placement:
    """As `place`, for a task whose node is given (a global service's)."""
    node = nodes.get(task.node_id)
    if node is None:
        return Placement(left=[task])
    demand = nodes.demand(task)
    fitting, rejected = sift([node], filters_for(task, demand, nodes.volumes))
    if not fitting:
        return Placement(left=[task], reason=explain(rejected))
    return Placement(_assign([(node, 1)], [task], demand, nodes.volumes))


def _deal(fitting: Sequence[NodeInfo], n: int, demand: Demand, now: float) -> list[Share]:
    """To the nodes with fewest tasks of the service; of those, with fewest tasks at all."""
    service_id = demand.kind.service_id
    dealt: list[Share] = []
    for tier in by_failures(fitting, demand.kind, now):
        nodes = emptiest(tier, service_id, n)
        counts = [node.by_service.get(service_id, 0) for node in nodes]
        room = [node.room(demand) for node in nodes]
        given = shares(counts, room, n, [node.wanted_tasks for node in nodes])
        dealt += [(node, part) for node, part in zip(nodes, given, strict=True) if part]
        n -= sum(given)
        if not n:
            break
    return dealt


def _assign(
    dealt: Sequence[Share], tasks: Sequence[api.Task], demand: Demand, volumes: VolumeSet
) -> list[Assignment]:
    queue = iter(tasks)
    assigned: list[Assignment] = []
    for node, count in dealt:
        some = list(islice(queue, count))
        version = node.version
        if demand.generic:
            assigned += [_claim(node, task, demand, demand.generic) for task in some]
        else:
            node.hold_new([task.id for task in some], demand)
            assigned += [Assignment(task, node, version, ()) for task in some]
    return [_with_volumes(each, volumes) for each in assigned] if mounts(tasks[0]) else assigned


def _with_volumes(assignment: Assignment, volumes: VolumeSet) -> Assignment:
    """Its volumes as well; the node was chosen because it can have them."""
    task, node = assignment.task, assignment.node
    chosen = volumes.choose(task, node)
    assert chosen is not None, "a filter asked the same"
    volumes.use(task, node.id, chosen)
    return assignment._replace(volumes=chosen)


def _claim(
    node: NodeInfo, task: api.Task, demand: Demand, generic: Mapping[str, int]
) -> Assignment:
    chosen = node.generic.choose(generic)
    node.hold(task.id, Held(demand, wanted=True, generic=chosen))
    return Assignment(task, node, node.version, chosen)
