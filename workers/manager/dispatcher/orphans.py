"""Tasks of nodes long gone: after a day nobody can say what became of them."""

from collections.abc import Callable
from typing import Final

from swarmd import api
from swarmd.clock import Clock
from swarmd.logs import fields, get_logger
from swarmd.store import Store, WriteTx, by
from workers.manager.dispatcher.heartbeats import Deadlines

ORPHANED_AFTER_SECONDS: Final = 24 * 3600.0

log = get_logger(__name__)


class Orphans:
    """The nodes that are DOWN, and since when."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._deadlines = Deadlines(clock)

    def node_lost(self, node_id: str) -> None:
        self._deadlines.set(node_id, ORPHANED_AFTER_SECONDS)

    def node_back(self, node_id: str) -> None:
        """It is in touch again, or removed."""
        self._deadlines.drop(node_id)

    def clear(self) -> None:
        self._deadlines.clear()

    async def run(self) -> None:
        """Orphan the tasks of each node whose day is over, until cancelled."""
        while True:
            for node_id in await self._deadlines.next_due():
                log.warning(
                    "node is down for too long, orphaning its tasks", extra=fields(node=node_id)
                )
                await self._orphan_tasks(node_id)

    async def _orphan_tasks(self, node_id: str) -> None:
        tasks = self._store.view().tasks.find(by.node(node_id))
        await self._store.batch([_orphan(task.id) for task in tasks if _may_run(task)])


def _may_run(task: api.Task) -> bool:
    """Only what could have made progress meanwhile: an ended task is known to have ended."""
    return api.TaskState.ASSIGNED <= task.status.state <= api.TaskState.RUNNING


def _orphan(task_id: str) -> Callable[[WriteTx], None]:
    def change(tx: WriteTx) -> None:
        task = tx.tasks.copy(task_id)
        if _may_run(task):
            task.status.state = api.TaskState.ORPHANED
            tx.tasks.update(task)

    return change
