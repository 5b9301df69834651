"""The tasks of a node, as assignments change them."""

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from swarmd import api
from tests import builders
from tests.fakes.clock import FakeClock
from tests.fakes.dispatcher import Action, Type, change
from tests.fakes.executor import FakeExecutor, Knobs
from workers.agent.executors.choose import Engines
from workers.agent.reporter import Reporter
from workers.agent.task_db import TaskDb
from workers.agent.task_set import TaskSet

S = api.TaskState


class Node:
    """A task set on a fake engine, with a database on disk."""

    def __init__(self, path) -> None:
        self.clock = FakeClock()
        self.engine = FakeExecutor(self.clock)
        self.path = path

    @asynccontextmanager
    async def running(self):
        """An agent without sessions; when left, it stops."""
        reporter = Reporter(self.clock, random.Random(0))
        async with TaskDb(self.path, self.clock, random.Random(0)) as db:
            self.tasks = TaskSet(
                engines=Engines([self.engine]),
                db=db,
                reporter=reporter,
                directory=self.path.parent,
                clock=self.clock,
                random=random.Random(0),
            )
            both = [asyncio.create_task(db.run()), asyncio.create_task(self.tasks.run())]
            await asyncio.sleep(0)
            try:
                yield self.tasks
            finally:
                for each in reversed(both):
                    each.cancel()
                    await asyncio.wait([each])
            assert all(each.cancelled() for each in both)

    async def wait_states(self, **expected: int) -> None:
        wanted = {S.Value(name): count for name, count in expected.items()}
        async with asyncio.timeout(10):
            while dict(self.tasks.states()) != wanted:  # noqa: ASYNC110  no event tells
                await asyncio.sleep(0.001)

    async def wait_removed(self, task: api.Task) -> None:
        async with asyncio.timeout(10):
            while task.id in self.engine.processes:  # noqa: ASYNC110  no event tells
                await asyncio.sleep(0.001)


@pytest.fixture
def node(tmp_path) -> Node:
    return Node(tmp_path / "tasks.db")


def complete(*items) -> api.AssignmentsMessage:
    return api.AssignmentsMessage(type=Type.COMPLETE, changes=[change(item) for item in items])


def difference(*, updates=(), removals=()) -> api.AssignmentsMessage:
    changes = [change(item) for item in updates]
    changes += [change(item, Action.REMOVE) for item in removals]
    return api.AssignmentsMessage(type=Type.INCREMENTAL, changes=changes)


def assigned(**fields) -> api.Task:
    return builders.task(state=S.ASSIGNED, **fields)


async def test_tasks_come_and_go_with_the_assignments(node) -> None:
    first, second = assigned(), assigned()
    async with node.running() as tasks:
        tasks.take(complete(first))
        tasks.take(difference(updates=[second]))
        await node.wait_states(RUNNING=2)
        tasks.take(difference(removals=[first]))
        await node.wait_removed(first)
        await node.wait_states(RUNNING=1)
        tasks.take(complete())
        await node.wait_removed(second)


async def test_an_unknown_task_is_taken_as_the_manager_last_saw_it(node) -> None:
    """After the loss of the database, what runs is adopted, and what ended stays ended."""
    lost, ended = builders.task(state=S.RUNNING), builders.task(state=S.FAILED)
    async with node.running() as tasks:
        tasks.take(complete(lost, ended))
        await node.wait_states(FAILED=2)
    assert 1 == node.engine.calls["wait", lost.id]
    assert 0 == sum(node.engine.starts.values())


async def test_the_database_knows_better_than_the_manager(node) -> None:
    task = assigned()
    async with node.running() as tasks:
        tasks.take(complete(task))
        await node.wait_states(RUNNING=1)
    async with node.running() as tasks:
        tasks.take(complete(task))
        await node.wait_states(RUNNING=1)
    assert 1 == node.engine.starts[task.id]


async def test_a_task_assigned_again_while_it_leaves_begins_anew(node) -> None:
    task = assigned()
    async with node.running() as tasks:
        tasks.take(complete(task))
        await node.wait_states(RUNNING=1)
        node.engine.knobs = Knobs(remove_fails=OSError("busy"))
        tasks.take(complete())
        await node.clock.wait_sleepers()
        tasks.take(complete(task))
        node.engine.knobs = Knobs()
        node.clock.advance(seconds=5)
        await node.wait_states(RUNNING=1)
    assert 2 == node.engine.starts[task.id]


async def test_a_task_waits_for_its_secret_over_a_restart(node) -> None:
    secret = builders.secret()
    reference = api.SecretReference(secret_id=secret.id)
    task = assigned(spec=api.TaskSpec(container=builders.container(secrets=[reference])))
    node.engine.knobs = Knobs(prepare_hangs=True)
    async with node.running() as tasks:
        tasks.take(complete(secret, task))
        await node.wait_states(PREPARING=1)
    node.engine.knobs = Knobs()
    async with node.running() as tasks:
        await node.clock.wait_sleepers()
        assert {S.PREPARING: 1} == dict(tasks.states())
        tasks.take(complete(secret, task))
        node.clock.advance(seconds=5)
        await node.wait_states(RUNNING=1)
