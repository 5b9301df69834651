"""The agent's memory: what was flushed is there after any end, and a damaged file is refused."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from swarmd import api
from swarmd.errors import CannotBootError
from tests import builders
from tests.fakes.clock import FakeClock
from workers.agent import task_file
from workers.agent.task_db import TaskDb

S = api.TaskState


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[TaskDb]:
    async with TaskDb(path, FakeClock(), random.Random(0)) as db:
        writer = asyncio.create_task(db.run())
        try:
            yield db
        finally:
            writer.cancel()
            await asyncio.wait([writer])


async def records(path: Path) -> dict[str, task_file.Record]:
    async with TaskDb(path, FakeClock(), random.Random(0)) as db:
        return {record.task.id: record for record in db.records}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "worker" / "tasks.db"


async def fill(path: Path, count: int = 50) -> None:
    async with opened(path) as db:
        for _ in range(count):
            db.put(builders.task())


async def test_a_task_comes_back_with_its_newest_status(path) -> None:
    task = builders.task(state=S.ASSIGNED)
    async with opened(path) as db:
        db.put(task)
        db.put_status(task.id, task.status)
        db.put_status(task.id, api.TaskStatus(state=S.RUNNING, message="started"))
        await db.flush()
    found = (await records(path))[task.id]
    task.status.CopyFrom(api.TaskStatus(state=S.RUNNING, message="started"))
    assert (task, True) == (found.task, found.assigned)


async def test_a_newer_assignment_keeps_the_status(path) -> None:
    task = builders.task()
    async with opened(path) as db:
        db.put(task)
        db.put_status(task.id, api.TaskStatus(state=S.RUNNING))
        await db.flush()
        db.put(builders.task(id=task.id, desired_state=S.SHUTDOWN))
    found = (await records(path))[task.id].task
    assert (S.RUNNING, S.SHUTDOWN) == (found.status.state, found.desired_state)


async def test_an_unassigned_task_is_remembered_until_it_is_forgotten(path) -> None:
    task = builders.task()
    async with opened(path) as db:
        db.put(task)
        await db.flush()
        db.unassign(task.id)
    assert not (await records(path))[task.id].assigned
    async with opened(path) as db:
        db.forget(task.id)
    assert {} == await records(path)


async def test_a_status_of_a_forgotten_task_does_not_bring_it_back(path) -> None:
    task = builders.task()
    async with opened(path) as db:
        db.put(task)
        db.forget(task.id)
        db.put_status(task.id, api.TaskStatus(state=S.FAILED))
        await db.flush()
        db.put_status(task.id, api.TaskStatus(state=S.FAILED))
    assert {} == await records(path)


async def test_what_was_not_flushed_is_written_at_the_end(path) -> None:
    await fill(path, 3)
    assert 3 == len(await records(path))


async def test_writes_that_come_together_are_one_transaction(path, monkeypatch) -> None:
    batches = []
    write = task_file.write
    monkeypatch.setattr(
        task_file, "write", lambda db, batch: (batches.append(len(batch)), write(db, batch))
    )
    async with opened(path) as db:
        for _ in range(1000):
            db.put(builders.task())
        await asyncio.gather(*(db.flush() for _ in range(100)))
        assert [1000] == batches


async def test_a_full_disk_holds_up_but_loses_nothing(path, monkeypatch) -> None:
    clock = FakeClock()
    full = True
    write = task_file.write

    def no_room(connection, batch) -> None:
        if full:
            raise sqlite3.OperationalError("database or disk is full")
        write(connection, batch)

    monkeypatch.setattr(task_file, "write", no_room)
    task = builders.task()
    async with TaskDb(path, clock, random.Random(0)) as db:
        writer = asyncio.create_task(db.run())
        db.put(task)
        flushed = asyncio.create_task(db.flush())
        await clock.wait_sleepers()
        assert not flushed.done()
        db.put_status(task.id, api.TaskStatus(state=S.FAILED))
        full = False
        clock.advance(seconds=1)
        await flushed
        await db.flush()
        writer.cancel()
        await asyncio.wait([writer])
    assert S.FAILED == (await records(path))[task.id].task.status.state


async def test_a_stop_in_the_middle_of_a_write_loses_nothing(path, monkeypatch) -> None:
    clock = FakeClock()
    write = task_file.write
    failures = [sqlite3.OperationalError("disk I/O error")]

    def once_bad(connection, batch) -> None:
        if failures:
            raise failures.pop()
        write(connection, batch)

    monkeypatch.setattr(task_file, "write", once_bad)
    task = builders.task()
    async with TaskDb(path, clock, random.Random(0)) as db:
        writer = asyncio.create_task(db.run())
        db.put(task)
        await clock.wait_sleepers()
        db.put_status(task.id, api.TaskStatus(state=S.RUNNING))
        writer.cancel()
        await asyncio.wait([writer])
    assert S.RUNNING == (await records(path))[task.id].task.status.state


CRASH = """
import asyncio, os, random, sys
from pathlib import Path
from swarmd import api
from swarmd.clock import SystemClock
from workers.agent.task_db import TaskDb

async def main():
    async with TaskDb(Path(sys.argv[1]), SystemClock(), random.Random(0)) as db:
        asyncio.create_task(db.run())
        for number in range(1000):
            task = api.Task(id=f"task-{number:04}")
            db.put(task)
            db.put_status(task.id, api.TaskStatus(state=api.TaskState.RUNNING))
            if number % 100 == 99:
                await db.flush()
                print(number, flush=True)
                if number == 499:
                    os._exit(9)

asyncio.run(main())
"""


async def test_what_was_flushed_survives_a_crash(path) -> None:
    crashed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", CRASH, str(path)], capture_output=True, check=False
    )
    assert 9 == crashed.returncode, crashed.stderr
    found = await records(path)
    assert 500 == len(found)
    assert {S.RUNNING} == {record.task.status.state for record in found.values()}


async def refusal(path: Path) -> str:
    """What the operator reads; the file is as it was."""
    before = path.read_bytes()
    with pytest.raises(CannotBootError) as refused:
        await records(path)
    assert before == path.read_bytes()
    return str(refused.value)


@pytest.mark.parametrize("keep", [0, 1, 99, 100, 4096, 5000, 8192])
async def test_a_truncated_file_is_refused(path, keep) -> None:
    await fill(path)
    os.truncate(path, keep)
    sentence = await refusal(path)
    assert str(path) in sentence
    assert "move it away" in sentence


async def test_a_file_with_garbage_in_it_is_refused(path) -> None:
    await fill(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(4096))
    assert "damaged" in await refusal(path)


async def test_a_row_with_garbage_in_it_is_refused(path) -> None:
    await fill(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE tasks SET task = x'ffffff'")
    assert "damaged" in await refusal(path)


async def test_a_file_of_a_later_version_is_refused(path) -> None:
    await fill(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "format 99" in await refusal(path)


async def test_a_file_that_is_no_database_is_refused(path) -> None:
    path.parent.mkdir()
    path.write_text("hello" * 1000)
    assert "damaged" in await refusal(path)


async def test_a_directory_in_its_place_is_refused(path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(CannotBootError, match=str(path)):
        await records(path)
