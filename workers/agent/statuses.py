"""A task's new status goes to disk first, then to the reporter.

What the manager was told cannot be taken back by a crash of this agent. Statuses that change while
the disk is busy go to it together.
"""

import asyncio

from swarmd import api
from workers.agent.reporter import Reporter
from workers.agent.task_db import TaskDb


class Statuses:
    """The one way of a status from a task's manager to disk and reporter."""

    def __init__(self, db: TaskDb, reporter: Reporter) -> None:
        self._db = db
        self._reporter = reporter
        self._unsaid: dict[str, api.TaskStatus] = {}
        self._wake = asyncio.Event()

    def record(self, task_id: str, status: api.TaskStatus) -> None:
        """Save and report this status, soon; the message must not be changed any more."""
        self._db.put_status(task_id, status)
        self._unsaid[task_id] = status
        self._wake.set()

    async def wait_saved(self) -> None:
        """Return when all that was recorded until now is on disk."""
        await self._db.flush()

    def forget(self, task_id: str) -> None:
        """Nobody wants to hear of this task any more."""
        self._unsaid.pop(task_id, None)
        self._reporter.forget(task_id)

    async def run(self) -> None:
        """Hand on what is on disk, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._db.flush()
            unsaid, self._unsaid = self._unsaid, {}
            for task_id, status in unsaid.items():
                self._reporter.update(task_id, status)
