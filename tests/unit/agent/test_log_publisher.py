"""Over real gRPC: what an agent does with the subscriptions that a manager names."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from random import Random

import pytest
from grpc import aio

from swarmd import api
from swarmd.api.protos.logbroker_pb2_grpc import (
    LogBrokerServicer,
    add_LogBrokerServicer_to_server,
)
from swarmd.errors import UnavailableError
from tests import builders
from tests.fakes.clock import FakeClock
from workers.agent.log_publisher import LogPublisher


class Broker(LogBrokerServicer):
    """Sends what its test says, keeps what is published."""

    def __init__(self) -> None:
        self.to_send: asyncio.Queue[api.SubscriptionMessage | None] = asyncio.Queue()
        self.published: asyncio.Queue[api.PublishLogsMessage] = asyncio.Queue()
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.listeners = 0

    async def ListenSubscriptions(self, request, context):  # noqa: N802
        self.listeners += 1
        while message := await self.to_send.get():
            yield message

    async def PublishLogs(self, request_iterator, context):  # noqa: N802
        last = ""
        try:
            async for message in request_iterator:
                last = message.subscription_id
                await self.reads.wait()
                self.published.put_nowait(message)
        finally:
            self.ended.put_nowait(last)
        return api.PublishLogsResponse()

    def ask(self, subscription_id: str = "s", *, follow: bool = False, **selector) -> None:
        options = api.LogSubscriptionOptions(follow=follow)
        message = api.SubscriptionMessage(
            id=subscription_id, selector=api.LogSelector(**selector), options=options
        )
        self.to_send.put_nowait(message)

    def close(self, subscription_id: str = "s") -> None:
        self.to_send.put_nowait(api.SubscriptionMessage(id=subscription_id, close=True))

    async def lines(self, count: int) -> set[tuple[str, bytes]]:
        """The next so many, by task."""
        found: list[tuple[str, bytes]] = []
        while len(found) < count:
            message = await soon(self.published.get())
            assert not message.close
            found += [(one.context.task_id, one.data) for one in message.messages]
        assert count == len(found)
        return set(found)


class Tasks:
    """Tasks that print a line each, and more where they are followed."""

    def __init__(self) -> None:
        self.all: list[api.Task] = []
        self.more: dict[str, asyncio.Queue[bytes]] = {}
        self.fails: set[str] = set()
        self.endless: set[str] = set()
        self.read = 0
        self._one_more = asyncio.Event()

    def add(self, task_id: str, service_id: str = "web", node_id: str = "n1") -> api.Task:
        task = builders.task(service_id=service_id, node_id=node_id)
        task.id = task_id
        self.all.append(task)
        self.more[task_id] = asyncio.Queue()
        self._one_more.set()
        self._one_more = asyncio.Event()
        return task

    def assigned(self) -> list[api.Task]:
        return self.all

    async def wait_assigned(self) -> None:
        await self._one_more.wait()

    async def output(self, task_id, options) -> AsyncGenerator[api.LogMessage, None]:
        if task_id in self.fails:
            raise UnavailableError("no engine answers")
        yield _line(task_id, b"begun\n")
        while task_id in self.endless:
            self.read += 1
            yield _line(task_id, bytes(16 << 10))
        while options.follow:
            yield _line(task_id, await self.more[task_id].get())


def _line(task_id: str, data: bytes) -> api.LogMessage:
    return api.LogMessage(context=api.LogContext(task_id=task_id), data=data)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def tasks() -> Tasks:
    return Tasks()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@contextlib.asynccontextmanager
async def channel_to(path: Path, servicer: Broker | None) -> AsyncIterator[aio.Channel]:
    server = aio.server()
    if servicer is not None:
        add_LogBrokerServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        async with aio.insecure_channel(f"unix:{path}") as channel:
            yield channel
    finally:
        await server.stop(None)


@pytest.fixture
async def running(broker, tasks, clock, tmp_path) -> AsyncIterator[asyncio.Task[None]]:
    async with channel_to(tmp_path / "s", broker) as channel:
        work = asyncio.create_task(LogPublisher(channel, tasks, clock, Random(0)).run())
        yield work
        work.cancel()
        await asyncio.wait([work])


async def soon(awaitable):
    async with asyncio.timeout(5):
        return await awaitable


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        ({"service_ids": ["web"]}, 2),
        ({"task_ids": ["t1", "t3"]}, 2),
        ({"node_ids": ["n1"]}, 3),
        ({"service_ids": ["other"], "node_ids": ["n2"], "task_ids": ["t9"]}, 0),
    ],
)
async def test_what_matches_is_published_then_the_subscription_closed(
    running, broker, tasks, selector, count
):
    for task_id, service in (("t1", "web"), ("t2", "web"), ("t3", "db")):
        tasks.add(task_id, service)
    broker.ask(**selector)
    assert count == len(await broker.lines(count))
    assert (await soon(broker.published.get())).close
    assert "s" == await soon(broker.ended.get())


async def test_who_follows_gets_tasks_that_come_later_and_no_close(running, broker, tasks):
    tasks.add("t1")
    broker.ask(follow=True, service_ids=["web"])
    assert {("t1", b"begun\n")} == await broker.lines(1)
    tasks.add("t2", "other")
    tasks.add("t3")
    assert {("t3", b"begun\n")} == await broker.lines(1)
    tasks.more["t1"].put_nowait(b"more\n")
    assert {("t1", b"more\n")} == await broker.lines(1)
    assert broker.ended.empty()


async def test_a_closed_subscription_ends_its_stream(running, broker, tasks):
    tasks.add("t1")
    broker.ask(follow=True, service_ids=["web"])
    await broker.lines(1)
    broker.close()
    assert "s" == await soon(broker.ended.get())


async def test_a_subscription_is_served_once_though_it_is_sent_twice(running, broker, tasks):
    tasks.add("t1")
    broker.ask(follow=True, service_ids=["web"])
    broker.ask(follow=True, service_ids=["web"])
    broker.ask("another", service_ids=["web"])
    await broker.lines(2)
    assert (await soon(broker.published.get())).close
    assert broker.published.empty()


async def test_a_task_that_cannot_be_read_does_not_hold_up_the_others(
    running, broker, tasks, caplog
):
    tasks.add("t1")
    tasks.add("t2")
    tasks.fails.add("t1")
    broker.ask(service_ids=["web"])
    assert {("t2", b"begun\n")} == await broker.lines(1)
    assert (await soon(broker.published.get())).close
    assert ["a task's logs cannot be read"] == [one.message for one in caplog.records]


async def test_a_manager_that_does_not_read_stops_the_reading_of_that_subscription_alone(
    running, broker, tasks
):
    tasks.add("t1")
    tasks.add("t2", "db")
    tasks.endless.add("t1")
    broker.reads.clear()
    broker.ask(follow=True, service_ids=["web"])
    await stands_still(lambda: tasks.read)
    assert 0 < tasks.read < 10_000
    before = tasks.read
    broker.reads.set()
    broker.ask("another", service_ids=["db"])
    async with asyncio.timeout(5):
        while (await broker.published.get()).subscription_id != "another":
            pass
        while tasks.read == before:
            await broker.published.get()


async def stands_still(count) -> None:
    """Return once it has not changed for a while."""
    async with asyncio.timeout(10):
        last = -1
        while last != count() or not last:
            last = count()
            await asyncio.sleep(0.3)


async def test_a_stream_that_ends_is_opened_again_after_a_pause(running, broker, clock, caplog):
    caplog.set_level("INFO")
    broker.to_send.put_nowait(None)
    await soon(clock.wait_sleepers())
    assert ["not listening for log subscriptions"] == [one.message for one in caplog.records]
    clock.advance(seconds=1)
    broker.ask(service_ids=["web"])
    assert (await soon(broker.published.get())).close
    assert 2 == broker.listeners


async def test_a_manager_without_logs_is_left_in_peace(tasks, clock, tmp_path, caplog):
    async with channel_to(tmp_path / "s", None) as channel:
        await soon(LogPublisher(channel, tasks, clock, Random(0)).run())
    assert ["the manager does not ask for logs"] == [one.message for one in caplog.records]


async def test_it_ends_when_it_is_cancelled_though_its_manager_goes_at_the_same_time(
    broker, tasks, clock, tmp_path
):
    tasks.add("t1")
    async with channel_to(tmp_path / "s", broker) as channel:
        work = asyncio.create_task(LogPublisher(channel, tasks, clock, Random(0)).run())
        broker.ask(follow=True, service_ids=["web"])
        await broker.lines(1)
        broker.to_send.put_nowait(None)
        await asyncio.sleep(0)
        work.cancel()
        await soon(asyncio.wait([work]))
    assert work.cancelled()
