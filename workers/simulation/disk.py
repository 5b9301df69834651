"""What survives a crash: the manager's store, and each agent's memory of its tasks.

A manager can die at any commit, and then in one of two ways: before the commit is durable, or after
it is and before anyone was told. `Disk.crash_at` names the commit and the way.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Self

from swarmd import api
from swarmd.errors import ResourceExhaustedError, UnavailableError
from swarmd.store import MemoryBackend, Row
from workers.agent.task_db import TaskDb
from workers.agent.task_file import Record, Write
from workers.simulation.clock import SimulatedClock

_SLOW_COMMIT_SECONDS: Final = 0.3
_COMMIT_SECONDS: Final = 0.002
_AGENT_WRITE_SECONDS: Final = 0.002
_NO_FILE: Final = Path("no file")
Key = tuple[str, str]


@dataclass(slots=True)
class Disk:
    """The manager's disk, and what is to go wrong with it."""

    random: Random
    rows: dict[Key, Row] = field(default_factory=dict)
    version: int = 0
    last: frozenset[Key] = frozenset()
    """The objects of the newest commit: all that a crash may have left unsaid."""
    commits: int = 0
    crash_in: int = 0
    """So many commits from now the manager dies; 0: it does not."""
    crash_is_durable: bool = False
    full: bool = False
    slow: bool = False

    def seconds(self) -> float:
        most = _SLOW_COMMIT_SECONDS if self.slow else _COMMIT_SECONDS
        return self.random.uniform(0, most)


class SimulatedBackend(MemoryBackend):
    """A store's door to the disk, for one life of the manager; once shut, it writes no more."""

    place = "the simulated disk"

    def __init__(self, disk: Disk, crash: Callable[[], None]) -> None:
        super().__init__()
        self._disk = disk
        self._crash = crash
        self.shut = False
        self.rows = dict(disk.rows)
        self.version = disk.version

    async def commit(self, version: int, rows: Sequence[Row]) -> None:
        disk = self._disk
        await asyncio.sleep(disk.seconds())
        self._raise_if_shut()
        if disk.full:
            raise ResourceExhaustedError("the disk is full: free some space")
        crashes = self._crashes_now()
        if not crashes or disk.crash_is_durable:
            self._write(version, rows)
        if crashes:
            self._crash()
        self._raise_if_shut()

    def _crashes_now(self) -> bool:
        if self._disk.crash_in:
            self._disk.crash_in -= 1
            return not self._disk.crash_in
        return False

    def _write(self, version: int, rows: Sequence[Row]) -> None:
        disk = self._disk
        for row in rows:
            if row.data is None:
                disk.rows.pop((row.kind, row.id), None)
            else:
                disk.rows[row.kind, row.id] = row
        disk.version = version
        disk.last = frozenset((row.kind, row.id) for row in rows)
        disk.commits += 1

    def _raise_if_shut(self) -> None:
        if self.shut:
            raise UnavailableError("this manager is dead")


@dataclass(slots=True)
class Memory:
    """An agent's disk: its tasks, as the file of a real one keeps them."""

    tasks: dict[str, Write] = field(default_factory=dict)

    def write(self, batch: Mapping[str, Write]) -> None:
        for task_id, change in batch.items():
            known = self.tasks.get(task_id)
            if change.forget:
                self.tasks.pop(task_id, None)
            elif known is not None or change.task is not None:
                self.tasks[task_id] = _joined(known or Write(status=b"", assigned=True), change)

    def records(self) -> list[Record]:
        return [_record(write) for write in self.tasks.values()]


class SimulatedTaskDb(TaskDb):
    """The agent's own memory over a simulated disk: what was not written at a crash is lost."""

    def __init__(self, memory: Memory, clock: SimulatedClock, random: Random) -> None:
        super().__init__(_NO_FILE, clock, random)
        self._memory = memory
        self._sleep = clock.sleep
        self._chance = random

    async def __aenter__(self) -> Self:
        self.records = self._memory.records()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """A crash writes nothing."""

    async def _write_until_it_works(self, batch: dict[str, Write]) -> None:
        await self._sleep(self._chance.uniform(0, _AGENT_WRITE_SECONDS))
        self._memory.write(batch)


def _joined(older: Write, newer: Write) -> Write:
    return Write(
        newer.task if newer.task is not None else older.task,
        newer.status if newer.status is not None else older.status,
        newer.assigned if newer.assigned is not None else older.assigned,
    )


def _record(write: Write) -> Record:
    task = api.Task.FromString(write.task or b"")
    task.status.CopyFrom(api.TaskStatus.FromString(write.status or b""))
    return Record(task, bool(write.assigned))
