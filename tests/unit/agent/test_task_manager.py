"""One task, driven towards its desired state on a fake engine under a fake clock."""

import asyncio
import random

import pytest

from swarmd import api
from tests import builders
from tests.fakes.clock import FakeClock
from tests.fakes.executor import FakeController, FakeExecutor, Knobs
from workers.agent.executors import Dependencies
from workers.agent.executors.errors import ExecutorError, GoneError, RejectedError, TemporaryError
from workers.agent.task_manager import TaskManager
from workers.agent.turns import Turns

S = api.TaskState


class Statuses:
    """Stands in for statuses.py: what was recorded is saved at once, unless `full`."""

    def __init__(self) -> None:
        self.seen: dict[str, list[api.TaskStatus]] = {}
        self.room = asyncio.Event()
        self.room.set()
        self._news = asyncio.Event()

    def record(self, task_id: str, status: api.TaskStatus) -> None:
        self.seen.setdefault(task_id, []).append(status)
        self._news.set()

    async def wait_saved(self) -> None:
        await self.room.wait()

    async def wait_state(self, task: api.Task, state: int) -> api.TaskStatus:
        while not (seen := self.seen.get(task.id)) or seen[-1].state != state:
            self._news.clear()
            await self._news.wait()
        return seen[-1]

    def states(self, task: api.Task) -> list[int]:
        return [status.state for status in self.seen.get(task.id, [])]


class Host:
    """A node's engine and the managers of its tasks; its agent can be restarted."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.engine = FakeExecutor(self.clock)
        self.statuses = Statuses()
        self.managers: dict[str, TaskManager] = {}
        self.runs: dict[str, asyncio.Task[None]] = {}
        self.resolve_fails: Exception | None = None
        self.turns = Turns(8, 5.0, self.clock)

    def resolve(self, task, call) -> FakeController:
        if self.resolve_fails is not None:
            raise self.resolve_fails
        return self.engine.controller(task, Dependencies(), None)

    def take(self, task: api.Task) -> TaskManager:
        manager = TaskManager(
            task,
            resolve=self.resolve,
            statuses=self.statuses,
            turns=self.turns,
            clock=self.clock,
            random=random.Random(0),
        )
        self.managers[task.id] = manager
        self.runs[task.id] = asyncio.create_task(manager.run())
        return manager

    def want(self, task: api.Task, desired: int, **fields) -> None:
        newer = api.Task()
        newer.CopyFrom(task)
        newer.desired_state = desired
        self.managers[task.id].update(newer)

    async def stop(self) -> None:
        for run in self.runs.values():
            run.cancel()
        if self.runs:
            await asyncio.wait(self.runs.values())
        self.runs.clear()


@pytest.fixture
async def host():
    host = Host()
    yield host
    failures = [run.exception() for run in host.runs.values() if run.done() and not run.cancelled()]
    assert [None] * len(failures) == failures
    await host.stop()


@pytest.fixture
def task() -> api.Task:
    return builders.task(state=S.ASSIGNED)


async def settle() -> None:
    """Let everything that can go on without time passing go on."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_task_goes_through_every_state_to_running(host, task) -> None:
    host.take(task)
    status = await host.statuses.wait_state(task, S.RUNNING)
    assert "started" == status.message
    assert 1000 == status.container.pid
    expected = [S.ACCEPTED, S.PREPARING, S.READY, S.STARTING, S.RUNNING]
    assert expected == host.statuses.states(task)


async def test_a_task_that_ends_well_is_complete(host, task) -> None:
    host.engine.knobs = Knobs(runs_for=30)
    host.take(task)
    await host.statuses.wait_state(task, S.RUNNING)
    await host.clock.wait_sleepers()
    host.clock.advance(seconds=30)
    status = await host.statuses.wait_state(task, S.COMPLETE)
    assert ("finished", "") == (status.message, status.err)


async def test_a_task_that_ends_badly_fails_with_its_exit_code(host, task) -> None:
    host.take(task)
    await host.statuses.wait_state(task, S.RUNNING)
    host.engine.processes[task.id].end(3)
    status = await host.statuses.wait_state(task, S.FAILED)
    assert (3, "task: non-zero exit (3)") == (status.container.exit_code, status.err)


@pytest.mark.parametrize("error", [RejectedError("no such user: bob"), OSError("no space left")])
async def test_a_task_that_cannot_be_prepared_is_rejected_with_the_reason(
    host, task, error
) -> None:
    host.engine.knobs = Knobs(prepare_fails=error)
    host.take(task)
    status = await host.statuses.wait_state(task, S.REJECTED)
    assert ("preparing", str(error)) == (status.message, status.err)


async def test_a_task_that_no_engine_takes_is_rejected(host, task) -> None:
    host.resolve_fails = RejectedError("this node has no Docker engine")
    host.take(task)
    status = await host.statuses.wait_state(task, S.REJECTED)
    assert "this node has no Docker engine" == status.err


async def test_a_task_that_cannot_be_started_fails(host, task) -> None:
    host.engine.knobs = Knobs(start_fails=ExecutorError("exec format error"))
    host.take(task)
    assert "exec format error" == (await host.statuses.wait_state(task, S.FAILED)).err


async def test_a_temporary_error_is_tried_again_until_it_works(host, task) -> None:
    host.engine.knobs = Knobs(start_fails=TemporaryError("the engine is restarting"))
    host.take(task)
    for _ in range(5):
        await settle()
        assert S.STARTING == host.statuses.states(task)[-1]
        host.clock.advance(seconds=host.clock.next_deadline - host.clock.monotonic())
    assert "the engine is restarting" == host.statuses.seen[task.id][-1].err
    host.engine.knobs = Knobs()
    host.clock.advance(seconds=30)
    assert "" == (await host.statuses.wait_state(task, S.RUNNING)).err


async def test_an_engine_that_gives_up_is_asked_again(host, task) -> None:
    host.engine.knobs = Knobs(prepare_fails=asyncio.CancelledError())
    host.take(task)
    await host.clock.wait_sleepers()
    host.engine.knobs = Knobs()
    host.clock.advance(seconds=5)
    await host.statuses.wait_state(task, S.RUNNING)


async def test_a_task_waits_in_ready_until_it_is_to_run(host, task) -> None:
    task.desired_state = S.READY
    host.take(task)
    await host.statuses.wait_state(task, S.READY)
    await settle()
    assert 0 == host.engine.count("start")
    host.want(task, S.RUNNING)
    await host.statuses.wait_state(task, S.RUNNING)


@pytest.mark.parametrize("desired", [S.SHUTDOWN, S.REMOVE])
async def test_a_running_task_is_shut_down(host, task, desired) -> None:
    host.take(task)
    await host.statuses.wait_state(task, S.RUNNING)
    host.want(task, desired)
    assert "shutdown" == (await host.statuses.wait_state(task, S.SHUTDOWN)).message
    assert host.engine.processes[task.id].ended.is_set()


@pytest.mark.parametrize(
    ("knobs", "call"),
    [
        (Knobs(prepare_hangs=True), "prepare"),
        (Knobs(start_hangs=True), "start"),
        (Knobs(prepare_fails=TemporaryError("not yet")), "prepare"),
    ],
)
async def test_a_task_is_shut_down_in_the_middle_of_a_step(host, task, knobs, call) -> None:
    host.engine.knobs = knobs
    host.take(task)
    await settle()
    assert 1 == host.engine.count(call)
    host.want(task, S.SHUTDOWN)
    await host.statuses.wait_state(task, S.SHUTDOWN)


async def test_a_task_that_is_gone_counts_as_shut_down(host, task) -> None:
    task.status.state = S.RUNNING
    task.desired_state = S.SHUTDOWN
    host.take(task)
    await host.statuses.wait_state(task, S.SHUTDOWN)


async def test_a_shutdown_is_not_begun_again_for_another_desired_state(host, task) -> None:
    host.engine.knobs = Knobs(ignores_stop=True)
    host.take(task)
    await host.statuses.wait_state(task, S.RUNNING)
    host.want(task, S.SHUTDOWN)
    await settle()
    host.want(task, S.REMOVE)
    await settle()
    assert 1 == host.engine.count("shutdown")
    host.engine.processes[task.id].end(137)
    await host.statuses.wait_state(task, S.SHUTDOWN)


async def test_a_desired_state_never_goes_back(host, task) -> None:
    host.take(task)
    await host.statuses.wait_state(task, S.RUNNING)
    host.want(task, S.SHUTDOWN)
    host.want(task, S.RUNNING)
    await host.statuses.wait_state(task, S.SHUTDOWN)


async def test_the_controller_hears_of_a_newer_version(host, task) -> None:
    host.take(task)
    await host.statuses.wait_state(task, S.RUNNING)
    await settle()
    newer = builders.task(id=task.id, node_id="n2")
    host.managers[task.id].update(newer)
    await settle()
    assert (1, 2) == (host.engine.count("update"), host.engine.count("wait"))
    host.managers[task.id].update(builders.task(id=task.id, node_id="n2", meta=api.Meta()))
    await settle()
    assert 1 == host.engine.count("update")


async def test_an_ended_task_is_left_alone(host, task) -> None:
    task.status.state = S.FAILED
    host.take(task)
    host.want(task, S.REMOVE)
    await settle()
    assert not host.engine.calls
    assert [] == host.statuses.states(task)


async def test_nothing_is_begun_before_the_state_is_on_disk(host, task) -> None:
    host.statuses.room.clear()
    host.take(task)
    await settle()
    assert [S.ACCEPTED, S.PREPARING] == host.statuses.states(task)
    assert 0 == host.engine.count("prepare")
    host.statuses.room.set()
    await host.statuses.wait_state(task, S.RUNNING)


# A restarted agent.


@pytest.mark.parametrize("known", [S.STARTING, S.RUNNING])
async def test_a_running_task_is_adopted_not_started_again(host, task, known) -> None:
    host.take(task)
    await host.statuses.wait_state(task, S.RUNNING)
    await host.stop()
    assert 1 == host.engine.calls["close", task.id]
    assert not host.engine.processes[task.id].ended.is_set()
    task.status.state = known
    host.take(task)
    await settle()
    assert 1 == host.engine.starts[task.id]
    host.engine.processes[task.id].end(1)
    await host.statuses.wait_state(task, S.FAILED)


async def test_a_task_that_ended_meanwhile_is_found_ended(host, task) -> None:
    host.take(task)
    await host.statuses.wait_state(task, S.RUNNING)
    await host.stop()
    host.engine.processes[task.id].end(0)
    task.status.state = S.RUNNING
    host.take(task)
    await host.statuses.wait_state(task, S.COMPLETE)


async def test_a_task_that_its_engine_lost_has_failed(host, task) -> None:
    task.status.state = S.RUNNING
    host.take(task)
    assert "is not here" in (await host.statuses.wait_state(task, S.FAILED)).err


async def test_a_task_killed_while_being_prepared_is_prepared_again(host, task) -> None:
    task.status.state = S.PREPARING
    host.take(task)
    await host.statuses.wait_state(task, S.RUNNING)


# Leaving.


async def test_a_task_that_leaves_is_shut_down_and_removed(host, task) -> None:
    manager = host.take(task)
    await host.statuses.wait_state(task, S.RUNNING)
    before = host.statuses.states(task)
    manager.leave()
    await host.runs[task.id]
    assert {} == host.engine.processes
    assert (1, 1, 1) == tuple(host.engine.count(call) for call in ("shutdown", "remove", "close"))
    assert before == host.statuses.states(task), "nobody is told any more"


async def test_a_removal_is_tried_until_it_works(host, task) -> None:
    manager = host.take(task)
    await host.statuses.wait_state(task, S.RUNNING)
    host.engine.knobs = Knobs(remove_fails=OSError("busy"))
    manager.leave()
    await host.clock.wait_sleepers()
    host.engine.knobs = Knobs()
    host.clock.advance(seconds=5)
    await host.runs[task.id]
    assert 1 == host.engine.count("shutdown")


async def test_what_no_engine_takes_leaves_at_once(host, task) -> None:
    host.resolve_fails = RejectedError("this node has no Docker engine")
    manager = host.take(task)
    await host.statuses.wait_state(task, S.REJECTED)
    manager.leave()
    await host.runs[task.id]


async def test_what_is_gone_already_leaves_at_once(host, task) -> None:
    host.engine.knobs = Knobs(remove_fails=GoneError("no such task"))
    manager = host.take(task)
    manager.leave()
    await host.runs[task.id]


# Many at once.


async def test_few_tasks_begin_at_the_same_time(host) -> None:
    tasks = [builders.task(state=S.ASSIGNED) for _ in range(100)]
    for task in tasks:
        host.take(task)
    for task in tasks:
        await host.statuses.wait_state(task, S.RUNNING)
    assert 8 == host.engine.most_beginning


async def test_slow_starters_do_not_hold_up_the_others(host) -> None:
    slow = [builders.task(state=S.ASSIGNED) for _ in range(20)]
    host.engine.of = {task.id: Knobs(start_hangs=True) for task in slow}
    for task in slow:
        host.take(task)
    quick = builders.task(state=S.ASSIGNED)
    host.take(quick)
    running = asyncio.create_task(host.statuses.wait_state(quick, S.RUNNING))
    while not running.done():
        await settle()
        host.clock.advance(seconds=1)
    assert host.clock.monotonic() < 30
