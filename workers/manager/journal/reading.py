"""The entries about one subject, the oldest first (pure over a view)."""

from collections.abc import Iterable, Sequence

from swarmd import api
from swarmd.api import times
from swarmd.api.protos.journal_pb2 import JournalEntry, JournalPage
from swarmd.store import ReadTx, by


def of_service(tx: ReadTx, service_id: str) -> list[JournalEntry]:
    """All that its pages hold, whether or not it is there still."""
    return in_order(tx.journal.find(by.owner(service_id)))


def of_node(tx: ReadTx, node_id: str) -> list[JournalEntry]:
    """About the node itself, and about tasks that were there."""
    found = in_order(tx.journal.find(by.any_of(by.owner(node_id), by.node(node_id))))
    return [entry for entry in found if is_of_node(entry, node_id)]


def is_of_node(entry: JournalEntry, node_id: str) -> bool:
    return entry.node_id == node_id or any(task.node_id == node_id for task in entry.tasks)


def of_task(
    entries: Sequence[JournalEntry], task_id: str, task: api.Task | None
) -> list[JournalEntry]:
    """About the task, and those before and after it in its place.

    `entries` are those of its service, in order. What was decided about the service counts too,
    from the task's creation on, and so do groups too large to name all of their tasks.
    """
    family = _family(entries, task_id)
    since = 0.0 if task is None else times.seconds(task.meta.created_at)
    return [entry for entry in entries if _concerns(entry, family, task, since)]


def in_order(pages: Iterable[JournalPage]) -> list[JournalEntry]:
    found = [entry for page in pages for entry in page.entries]
    return sorted(found, key=lambda entry: (entry.at.seconds, entry.at.nanos))


def _family(entries: Sequence[JournalEntry], task_id: str) -> set[str]:
    """The ids of the tasks that had its place before, itself, and those after."""
    family = {task_id}
    for entry in reversed(entries):
        family.update(task.id for task in entry.tasks if task.successor_id in family)
    for entry in entries:
        family.update(task.successor_id for task in entry.tasks if task.id in family)
    return family - {""}


def _concerns(entry: JournalEntry, family: set[str], task: api.Task | None, since: float) -> bool:
    if any(one.id in family or one.successor_id in family for one in entry.tasks):
        return True
    if task is None or times.seconds(entry.at) < since:
        return False
    if not entry.task_count:
        return True
    unnamed = entry.task_count > len(entry.tasks)
    return unnamed and entry.node_id in ("", task.node_id)
