"""A store with a dispatcher at work on it, and agents to talk to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

from swarmd import api
from swarmd.api import times
from swarmd.security.identity import WORKER, Caller
from swarmd.store import Select, Store, WriteTx
from tests import builders
from tests.fakes.clock import FakeClock
from workers.manager.dispatcher.server import Dispatcher

DOWN, READY, UNKNOWN = (
    api.NodeStatus.State.DOWN,
    api.NodeStatus.State.READY,
    api.NodeStatus.State.UNKNOWN,
)
ASSIGNED, RUNNING = api.TaskState.ASSIGNED, api.TaskState.RUNNING
COMPLETE = api.AssignmentsMessage.Type.COMPLETE
INCREMENTAL = api.AssignmentsMessage.Type.INCREMENTAL


class Context:
    """As much of a call's context as the dispatcher asks for."""

    def __init__(self, node_id: str) -> None:
        self.caller = Caller(node_id, WORKER, "cluster", "10.0.0.7:4711", local=False)


class Agent:
    """One node's side of the conversation."""

    def __init__(self, dispatcher: Dispatcher, node_id: str) -> None:
        self.dispatcher = dispatcher
        self.context = Context(node_id)
        self.session_id = ""
        self.session: Any = None

    async def register(self, session_id: str = "", **description: Any) -> api.SessionMessage:
        request = api.SessionRequest(session_id=session_id)
        if description:
            request.description.CopyFrom(api.NodeDescription(**description))
        self.session = self.dispatcher.Session(request, self.context)
        message = await soon(anext(self.session))
        self.session_id = message.session_id
        return message

    async def beat(self) -> float:
        request = api.HeartbeatRequest(session_id=self.session_id)
        return times.seconds((await self.dispatcher.Heartbeat(request, self.context)).period)

    def assignments(self) -> Any:
        request = api.AssignmentsRequest(session_id=self.session_id)
        return self.dispatcher.Assignments(request, self.context)

    def streams(self, call: str) -> Any:
        """Assignments, or Tasks as old agents ask for them."""
        request = {"Assignments": api.AssignmentsRequest, "Tasks": api.TasksRequest}[call]
        return getattr(self.dispatcher, call)(request(session_id=self.session_id), self.context)

    async def report(self, *updates: tuple[api.Task, int]) -> None:
        request = api.UpdateTaskStatusRequest(session_id=self.session_id)
        for task, state in updates:
            status = api.TaskStatus(state=api.TaskState.ValueType(state), message="told")
            request.updates.add(task_id=task.id, status=status)
        await self.dispatcher.UpdateTaskStatus(request, self.context)


class Cluster:
    """A store with a dispatcher at work on it."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.dispatcher = Dispatcher(store, clock, Random(0), "manager")
        self.work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.work = asyncio.create_task(self.dispatcher.run())
        await soon(self.dispatcher.wait_running())

    async def stop(self) -> None:
        if self.work is not None:
            self.work.cancel()
            await asyncio.gather(self.work, return_exceptions=True)
            self.work = None

    async def change(self, change: Callable[[WriteTx], object]) -> None:
        await self.store.update(change)

    async def create(self, table: str, *objects: Any) -> None:
        def change(tx: WriteTx) -> None:
            for each in objects:
                getattr(tx, table).create(each)

        await self.store.update(change)

    async def edit(self, table: str, object_id: str, edit: Callable[[Any], object]) -> None:
        def change(tx: WriteTx) -> None:
            own = getattr(tx, table).copy(object_id)
            edit(own)
            getattr(tx, table).update(own)

        await self.store.update(change)

    def node(self, node_id: str) -> api.Node:
        found = self.store.view().nodes.get(node_id)
        assert found is not None
        return found

    def task(self, task: api.Task) -> api.Task:
        found = self.store.view().tasks.get(task.id)
        assert found is not None
        return found

    async def wait(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            async with self.store.watch(Select(api.Task), Select(api.Node)) as watcher:
                while not condition():
                    await watcher.next()

    async def pass_time(self, seconds: float) -> None:
        """Let it pass in small steps, so that what is due happens in order."""
        await turn()  # whoever is about to sleep does so at the old time
        for _ in range(round(seconds)):
            self.clock.advance(seconds=1)
            await turn()

    async def agent(self, name: str = "n1", *, state: int = UNKNOWN) -> Agent:
        """An agent of a node that is in the store."""
        node = builders.node(name, state=state)
        node.id = name
        node.status.ClearField("addr")
        await self.create("nodes", node)
        return Agent(self.dispatcher, name)


async def soon(awaitable: Any) -> Any:
    async with asyncio.timeout(5):
        return await awaitable


async def turn() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def assigned(node_id: str = "n1", *, state: int = ASSIGNED, **fields: Any) -> api.Task:
    return builders.task(state=api.TaskState.ValueType(state), node_id=node_id, **fields)


def told_tasks(message: api.AssignmentsMessage) -> set[str]:
    return {change.assignment.task.id for change in message.changes}


def state_of(node: api.Node) -> tuple[int, str]:
    return node.status.state, node.status.message


async def drain_stream(stream: AsyncIterator[Any]) -> None:
    """Read until the stream's error is raised."""
    async with asyncio.timeout(5):
        async for _ in stream:
            pass
