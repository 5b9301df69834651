"""Memory of the tasks of this node: what is assigned here, and how far each came.

    async with TaskDb(path, clock, random) as db:
        db.records                           # what an earlier agent left
        db.put(task); db.put_status(...)     # queued
        await db.flush()                     # … and on disk

Writes queue up and go to disk in batches, each one transaction, from `run` in a thread; a newer
write to a task joins one that still waits. A write that the disk refuses is tried again, for ever:
who waits for it waits, and nothing is said to the manager that a crash could take back.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Self

from swarmd import api
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.logs import fields, get_logger
from workers.agent import task_file
from workers.agent.task_file import Record, Write

log = get_logger(__name__)

_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 5.0


class TaskDb:
    """The queue and its writer. Entering raises CannotBootError where the file is not sound."""

    records: list[Record]
    """What the file held when it was opened."""

    _connection: sqlite3.Connection

    def __init__(self, path: Path, clock: Clock, random: Random) -> None:
        self._path = path
        self._clock = clock
        self._backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, random)
        self._waiting: dict[str, Write] = {}
        self._waiting_is_written: asyncio.Future[None] | None = None
        self._batch_is_written: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._connection, self.records = await asyncio.to_thread(task_file.open_file, self._path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Write what still waits, if the disk takes it, and close."""
        try:
            await _uninterrupted(lambda: task_file.write(self._connection, self._waiting))
        except sqlite3.Error as failure:
            log.error(  # noqa: TRY400  a sentence, not a traceback: the disk is at fault
                "the last task states are not saved",
                extra=fields(file=self._path, reason=failure),
            )
        finally:
            self._connection.close()

    def put(self, task: api.Task) -> None:
        """Remember a task as assigned; a status already known stays."""
        bare = api.Task()
        bare.CopyFrom(task)
        bare.ClearField("status")
        change = self._change(task.id)
        change.task, change.assigned, change.forget = bare.SerializeToString(), True, False

    def put_status(self, task_id: str, status: api.TaskStatus) -> None:
        """Remember how far a known task came."""
        self._change(task_id).status = status.SerializeToString()

    def unassign(self, task_id: str) -> None:
        """Remember that a known task is to be removed from this host."""
        self._change(task_id).assigned = False

    def forget(self, task_id: str) -> None:
        """The task is gone from this host."""
        self._waiting[task_id] = Write(forget=True)
        self._wake.set()

    async def flush(self) -> None:
        """Return when everything that was put until now is on disk."""
        if self._waiting:
            if self._waiting_is_written is None:
                self._waiting_is_written = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiting_is_written)
        elif self._batch_is_written is not None:
            await asyncio.shield(self._batch_is_written)

    async def run(self) -> None:
        """Write what is put, batch after batch, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._waiting:
                await self._write_batch()

    async def _write_batch(self) -> None:
        batch, self._waiting = self._waiting, {}
        written = self._waiting_is_written or asyncio.get_running_loop().create_future()
        self._batch_is_written, self._waiting_is_written = written, None
        try:
            await self._write_until_it_works(batch)
        except asyncio.CancelledError:
            self._put_back(batch)
            written.cancel()
            raise
        self._batch_is_written = None
        written.set_result(None)

    async def _write_until_it_works(self, batch: dict[str, Write]) -> None:
        while True:
            try:
                await _uninterrupted(lambda: task_file.write(self._connection, batch))
            except sqlite3.Error as error:
                delay = self._backoff.next()
                log.error(  # noqa: TRY400  a sentence, not a traceback: the disk is at fault
                    "cannot save task states: trying again",
                    extra=fields(file=self._path, reason=error, tasks=len(batch), seconds=delay),
                )
                await self._clock.sleep(delay)
            else:
                self._backoff.reset()
                return

    def _change(self, task_id: str) -> Write:
        self._wake.set()
        return self._waiting.setdefault(task_id, Write())

    def _put_back(self, batch: dict[str, Write]) -> None:
        """The agent stops in the middle of a write: it goes in front of what came since."""
        since, self._waiting = self._waiting, batch
        for task_id, change in since.items():
            self._waiting[task_id] = _joined(batch.get(task_id), change)


def _joined(older: Write | None, newer: Write) -> Write:
    if older is None or older.forget or newer.forget:
        return newer
    return Write(
        newer.task if newer.task is not None else older.task,
        newer.status if newer.status is not None else older.status,
        newer.assigned if newer.assigned is not None else older.assigned,
    )


async def _uninterrupted(call: Callable[[], None]) -> None:
    """Run it in a thread; a cancelled caller waits for its end, as the connection has one user."""
    thread = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        thread.exception()  # whoever is cancelled has no use for it
        raise
