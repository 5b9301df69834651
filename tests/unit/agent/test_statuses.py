"""Disk first, then the manager."""

import asyncio
import random

import pytest

from swarmd import api
from tests.fakes.clock import FakeClock
from workers.agent.reporter import Reporter
from workers.agent.statuses import Statuses


class Disk:
    """A task database that takes its time."""

    def __init__(self) -> None:
        self.written: dict[str, int] = {}
        self.room = asyncio.Event()

    def put_status(self, task_id: str, status: api.TaskStatus) -> None:
        self.written[task_id] = status.state

    async def flush(self) -> None:
        await self.room.wait()


@pytest.fixture
async def disk() -> Disk:
    return Disk()


async def test_nothing_is_reported_before_it_is_on_disk(disk) -> None:
    reporter = Reporter(FakeClock(), random.Random(0))
    sent = asyncio.Queue()

    async def send(updates) -> None:
        for update in updates:
            sent.put_nowait((update.task_id, update.status.state))

    statuses = Statuses(disk, reporter)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(statuses.run()), group.create_task(reporter.run(send))]
        statuses.record("a", api.TaskStatus(state=api.TaskState.PREPARING))
        statuses.record("b", api.TaskStatus(state=api.TaskState.RUNNING))
        for _ in range(10):
            await asyncio.sleep(0)
        assert sent.empty()
        statuses.record("a", api.TaskStatus(state=api.TaskState.RUNNING))
        statuses.forget("b")
        disk.room.set()
        assert ("a", api.TaskState.RUNNING) == await sent.get()
        assert sent.empty()
        for task in running:
            task.cancel()
