"""Dealing out tasks evenly: over places by counting, over labels as a tree.

A placement preference splits the nodes by the value of a label (nodes without it are one branch),
the next preference splits each branch, and so on. At each level the branches get tasks so that
their counts end as even as their room allows; at the leaves the nodes do.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from swarmd import api
from workers.manager import constraints
from workers.manager.scheduler.node_info import MAX_FAILURES, Kind, NodeInfo

Share = tuple[NodeInfo, int]  # a node, and how many tasks it gets
Deal = Callable[[Sequence[NodeInfo], int], list[Share]]


def shares(counts: Sequence[int], room: Sequence[int], n: int, ties: Sequence[int]) -> list[int]:
    """How many of n each place gets, so that the counts end as even as their room allows.

    Same as giving one at a time to the place with the lowest count that has room; of several,
    to the one with the lowest tie, which grows by what it is given.
    """
    n = min(n, sum(room))
    if n <= 0:
        return [0] * len(counts)
    room = [min(r, n) for r in room]
    level = _level(counts, room, n)
    given = [min(r, max(0, level - c)) for c, r in zip(counts, room, strict=True)]
    left = n - sum(given)
    if left:
        at_level = [i for i, c in enumerate(counts) if c <= level and room[i] > given[i]]
        at_level.sort(key=lambda i: ties[i] + given[i])
        for i in at_level[:left]:
            given[i] += 1
    return given


def by_failures(nodes: Sequence[NodeInfo], kind: Kind, now: float) -> Iterable[Sequence[NodeInfo]]:
    """The nodes in tiers: first those where tasks of this kind fare well, then by failures."""
    failing = [node for node in nodes if node.failures]
    if not failing:
        return [nodes]
    tiers: dict[int, list[NodeInfo]] = {}
    for node in nodes:
        failures = node.recent_failures(kind, now)
        tiers.setdefault(failures if failures >= MAX_FAILURES else 0, []).append(node)
    return [tiers[failures] for failures in sorted(tiers)]


def emptiest(nodes: Sequence[NodeInfo], service_id: str, n: int) -> Sequence[NodeInfo]:
    """The n nodes (which all have room) to which n tasks can go at all, when dealt evenly."""
    if n >= len(nodes):
        return nodes
    # One number a node, so that they are compared as fast as can be.
    ranks = [(node.by_service.get(service_id, 0) << 40) + node.wanted_tasks for node in nodes]
    last = sorted(ranks)[n - 1]
    first = [node for node, rank in zip(nodes, ranks, strict=True) if rank < last]
    even = (node for node, rank in zip(nodes, ranks, strict=True) if rank == last)
    return [*first, *islice(even, n - len(first))]


def _level(counts: Sequence[int], room: Sequence[int], n: int) -> int:
    """The highest count up to which every place can be filled with n or fewer."""
    alike = Counter(zip(counts, room, strict=True))
    low, high = min(counts), max(counts) + n
    while low < high:
        middle = (low + high + 1) // 2
        needed = sum(min(r, middle - c) * times for (c, r), times in alike.items() if c < middle)
        low, high = (middle, high) if needed <= n else (low, middle - 1)
    return low


@dataclass(slots=True)
class Branch:
    """The nodes that share their labels' values so far."""

    tasks: int = 0  # of the service, on these nodes, fitting or not
    room: int = 0
    nodes: list[NodeInfo] = field(default_factory=list)  # that fit; at leaves only
    branches: dict[str, "Branch"] = field(default_factory=dict)

    def deal(self, n: int, deal: Deal) -> list[Share]:
        """Share out up to n tasks; `deal` does it for the nodes of a leaf."""
        if not self.branches:
            return deal(self.nodes, n)
        children = list(self.branches.values())
        counts = [child.tasks for child in children]
        given = shares(counts, [child.room for child in children], n, counts)
        dealt = (
            child.deal(part, deal) for child, part in zip(children, given, strict=True) if part
        )
        return [share for part in dealt for share in part]


def tree(
    nodes: Iterable[NodeInfo],
    room: Mapping[str, int],
    service_id: str,
    preferences: Sequence[api.PlacementPreference],
) -> Branch:
    """All nodes by their labels' values; `room` has those that fit, by id."""
    names = _label_names(preferences)
    root = Branch()
    for node in nodes:
        tasks, free = node.by_service.get(service_id, 0), room.get(node.id, 0)
        branch = root
        branch.tasks += tasks
        branch.room += free
        for name in names:
            value = constraints.label(name, node.node) or ""
            branch = branch.branches.setdefault(value, Branch())
            branch.tasks += tasks
            branch.room += free
        if free:
            branch.nodes.append(node)
    return root


def _label_names(preferences: Iterable[api.PlacementPreference]) -> list[str]:
    """Only labels can be spread over; a preference for something else has no effect."""
    names = [preference.spread.spread_descriptor for preference in preferences]
    return [name for name in names if constraints.label(name, api.Node()) is not None]
