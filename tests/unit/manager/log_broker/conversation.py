"""Both sides of a log broker: a subscriber, and agents that have output to publish."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from random import Random
from typing import Any

from swarmd import api
from swarmd.api import times
from swarmd.security.identity import WORKER, Caller
from swarmd.store import Store
from tests import builders
from tests.fakes.clock import FakeClock
from workers.manager.log_broker.server import LogBroker

RUNNING = api.TaskState.RUNNING
DOWN = api.NodeStatus.State.DOWN


class Context:
    """As much of a call's context as the broker asks for."""

    def __init__(self, node_id: str) -> None:
        self.caller = Caller(node_id, WORKER, "cluster", "10.0.0.7:4711", local=False)


class Conversation:
    """A store with a log broker."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.broker = LogBroker(store, clock, Random(0))
        self.calls: list[asyncio.Task[Any]] = []

    async def create(self, table: str, *objects: Any) -> None:
        for each in objects:
            await self.store.update(lambda tx, one=each: getattr(tx, table).create(one))

    async def edit(self, table: str, object_id: str, **fields: Any) -> None:
        def change(tx: Any) -> None:
            own = getattr(tx, table).copy(object_id)
            own.MergeFrom(type(own)(**fields))
            getattr(tx, table).update(own)

        await self.store.update(change)

    async def task(self, node_id: str = "n1", state: int = RUNNING, **fields: Any) -> api.Task:
        fields.setdefault("service_id", "web")
        task = builders.task(state=api.TaskState.ValueType(state), node_id=node_id, **fields)
        await self.create("tasks", task)
        return task

    async def agent(self, node_id: str) -> "Agent":
        """An agent of a node that is in the store, and listens."""
        if self.store.view().nodes.get(node_id) is None:
            node = builders.node(f"host-{node_id}")
            node.id = node_id
            await self.create("nodes", node)
        agent = Agent(self, node_id)
        agent.listen()
        await turn()
        return agent

    def subscribe(self, **selector: Any) -> "Subscriber":
        return Subscriber(self, selector, api.LogSubscriptionOptions())

    def follow(self, **selector: Any) -> "Subscriber":
        return Subscriber(self, selector, api.LogSubscriptionOptions(follow=True))

    def spawn(self, coroutine: Any) -> "asyncio.Task[Any]":
        self.calls.append(asyncio.create_task(coroutine))
        return self.calls[-1]

    async def end(self) -> None:
        for call in self.calls:
            call.cancel()
        await asyncio.gather(*self.calls, return_exceptions=True)


class Subscriber:
    """One call of SubscribeLogs, read by its test."""

    def __init__(
        self, conversation: Conversation, selector: Any, options: api.LogSubscriptionOptions
    ) -> None:
        request = api.SubscribeLogsRequest(selector=api.LogSelector(**selector), options=options)
        self._stream = conversation.broker.SubscribeLogs(request, Context("user"))
        self._first = conversation.spawn(self._next())  # the call is under way from here on

    async def next(self) -> list[bytes]:
        """What the next message has; raises what ends the stream."""
        first, self._first = self._first, None
        message = await soon(first or self._next())
        return [one.data for one in message.messages]

    async def rest(self) -> list[bytes]:
        """All to the end; raises the stream's error."""
        found: list[bytes] = []
        try:
            while True:
                found += await self.next()
        except EndOfStreamError:
            return found

    async def leave(self) -> None:
        if self._first is not None:
            self._first.cancel()
            await asyncio.gather(self._first, return_exceptions=True)
        await self._stream.aclose()

    async def _next(self) -> api.SubscribeLogsMessage:
        try:
            return await anext(self._stream)
        except StopAsyncIteration as error:
            raise EndOfStreamError from error


class EndOfStreamError(Exception):
    """For StopAsyncIteration, which no coroutine can raise."""


class Agent:
    """One node's side."""

    def __init__(self, conversation: Conversation, node_id: str) -> None:
        self.node_id = node_id
        self._conversation = conversation
        self.asked: asyncio.Queue[api.SubscriptionMessage] = asyncio.Queue()
        self.listening: asyncio.Task[None] | None = None

    def listen(self) -> None:
        self.listening = self._conversation.spawn(self._listen())

    async def _listen(self) -> None:
        request = api.ListenSubscriptionsRequest()
        stream = self._conversation.broker.ListenSubscriptions(request, Context(self.node_id))
        try:
            async for message in stream:
                self.asked.put_nowait(message)
        finally:
            await stream.aclose()

    async def next_asked(self) -> api.SubscriptionMessage:
        message: api.SubscriptionMessage = await soon(self.asked.get())
        return message

    async def disconnect(self) -> None:
        assert self.listening is not None
        self.listening.cancel()
        await asyncio.gather(self.listening, return_exceptions=True)

    def line(self, text: bytes, node_id: str | None = None, time: float = 0) -> api.LogMessage:
        context = api.LogContext(service_id="web", node_id=node_id or self.node_id, task_id="t")
        return api.LogMessage(context=context, data=text, timestamp=times.timestamp(time))

    def says(
        self, subscription_id: str, *texts: bytes, close: bool = True
    ) -> list[api.PublishLogsMessage]:
        found = [
            api.PublishLogsMessage(subscription_id=subscription_id, messages=[self.line(text)])
            for text in texts
        ]
        if close:
            found.append(api.PublishLogsMessage(subscription_id=subscription_id, close=True))
        return found

    async def publish(self, messages: Iterable[api.PublishLogsMessage]) -> None:
        await soon(self.publishing(_stream(messages)))

    def publishing(self, messages: AsyncIterator[api.PublishLogsMessage]) -> Any:
        return self._conversation.broker.PublishLogs(messages, Context(self.node_id))


async def _stream(
    messages: Iterable[api.PublishLogsMessage],
) -> AsyncIterator[api.PublishLogsMessage]:
    for message in messages:
        yield message


async def soon(awaitable: Any) -> Any:
    async with asyncio.timeout(5):
        return await awaitable


async def turn() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
