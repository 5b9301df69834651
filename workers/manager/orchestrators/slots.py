"""Tasks grouped by slot, and what a slot needs (pure).

A slot is a place for one task of a service: a number for a replicated one, a node for a global
one. It keeps the tasks that were there before, for their history; during an update that starts
first and stops then, two of them run.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice

from swarmd import api
from swarmd.api import tasks

Slot = list[api.Task]


def by_number(found: Iterable[api.Task]) -> dict[int, Slot]:
    grouped: defaultdict[int, Slot] = defaultdict(list)
    for task in found:
        grouped[task.slot].append(task)
    return dict(grouped)


def by_node(found: Iterable[api.Task]) -> dict[str, Slot]:
    grouped: defaultdict[str, Slot] = defaultdict(list)
    for task in found:
        grouped[task.node_id].append(task)
    return dict(grouped)


def wanted(slot: Sequence[api.Task]) -> Slot:
    """Those that are to run; an update that starts first has two of them for a while."""
    return [task for task in slot if tasks.is_wanted(task)]


def newest(slot: Sequence[api.Task]) -> api.Task:
    return max(slot, key=lambda task: (tasks.created(task), tasks.since(task)))


def free_numbers(taken: Mapping[int, object], wanted_count: int, first: int = 1) -> list[int]:
    """The lowest numbers of slots, so many, that nothing takes."""
    return list(islice((number for number in count(first) if number not in taken), wanted_count))


def surplus(filled: Sequence[Slot], keep: int) -> list[Slot]:
    """The slots to give up when only `keep` may stay.

    First those of no single node, then from the nodes with most of them, so that the rest is
    spread evenly; on a node those first that do not run, then those with the highest number: the
    first of a stateful service is often its primary.
    """
    if len(filled) <= keep:
        return []
    on_node: defaultdict[str, int] = defaultdict(int)
    ranked: list[tuple[bool, int, Slot]] = []
    for slot in sorted(filled, key=_preference):
        node_id = slot[0].node_id if len(slot) == 1 else ""
        on_node[node_id] += 1
        ranked.append((not node_id, on_node[node_id] if node_id else 0, slot))
    ranked.sort(key=lambda rank: rank[:2])
    return [slot for _, _, slot in ranked[keep:]]


def _preference(slot: Slot) -> tuple[bool, int]:
    return (not any(tasks.is_running(task) for task in slot), slot[0].slot)
