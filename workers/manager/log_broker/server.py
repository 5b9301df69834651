"""Logs and LogBroker: subscribers on one side, the agents that have the output on the other."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from random import Random
from typing import Any, Final

from swarmd import api, ids
from swarmd.api.protos.logbroker_pb2_grpc import LogBrokerServicer, LogsServicer
from swarmd.clock import Clock
from swarmd.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from swarmd.rpc.authorize import caller
from swarmd.store import Deleted, Select, Store, Updated, Watcher, WatchOverflowError
from swarmd.store.events import AnyChange
from workers.manager.log_broker.subscriptions import Subscription

PATIENCE_SECONDS: Final = 30.0
"""How long a node that was asked may say nothing at all."""

_DOWN: Final = api.NodeStatus.State.DOWN


class LogBroker(LogsServicer, LogBrokerServicer):
    """Brings the output of tasks from their nodes to those who ask for it."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._subscriptions: dict[str, Subscription] = {}
        self._listeners: dict[str, _Listener] = {}

    # Subscribers.

    async def SubscribeLogs(
        self, request: api.SubscribeLogsRequest, context: Any
    ) -> AsyncIterator[api.SubscribeLogsMessage]:
        """The output as it comes; at the end IncompleteError where some could not be had."""
        _check(request)
        subscription = Subscription(ids.new_id(self._random), request.selector, request.options)
        self._subscriptions[subscription.id] = subscription
        work = asyncio.create_task(self._look_after(subscription))
        try:
            while messages := await subscription.outbox.next():
                yield api.SubscribeLogsMessage(messages=messages)
            await work
            subscription.check()
        finally:
            work.cancel()
            self._unsubscribe(subscription)

    async def _look_after(self, subscription: Subscription) -> None:
        """Ask the nodes; close the outbox when all of them have finished."""
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(subscription))
                waiting = group.create_task(self._give_up_on_silent(subscription))
                await subscription.finished.wait()
                watching.cancel()
                waiting.cancel()
        finally:
            await subscription.outbox.close()

    async def _watch(self, subscription: Subscription) -> None:
        """Ask the nodes that the subscription is about, those that come to be about it too."""
        while True:
            try:
                async with self._store.watch(*_selects(subscription)) as watcher:
                    self._ask(subscription, subscription.match(self._store.view()))
                    await self._follow(subscription, watcher)
            except WatchOverflowError:
                continue  # what was missed is in the store

    async def _follow(self, subscription: Subscription, watcher: Watcher) -> None:
        async for events in watcher:
            for event in events:
                found = getattr(event, "object", None)
                if isinstance(found, api.Task):
                    self._ask(subscription, subscription.see(found))
                elif isinstance(found, api.Node):
                    subscription.done(found.id, f"{self._name(found.id)} is down")

    async def _give_up_on_silent(self, subscription: Subscription) -> None:
        await self._clock.sleep(PATIENCE_SECONDS)
        if not subscription.follow:
            for node_id in subscription.silent:
                subscription.done(node_id, f"{self._name(node_id)} does not answer")

    def _ask(self, subscription: Subscription, node_ids: Iterable[str]) -> None:
        for node_id in node_ids:
            listener = self._listeners.get(node_id)
            node = self._store.view().nodes.get(node_id)
            if listener is None or (node is not None and node.status.state == _DOWN):
                subscription.done(node_id, f"{self._name(node_id)} is not available")
            if listener is not None:
                listener.wake()

    def _unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription.id, None)
        for node_id in subscription.nodes:
            if node_id in self._listeners:
                self._listeners[node_id].wake()

    def _name(self, node_id: str) -> str:
        node = self._store.view().nodes.get(node_id)
        hostname = node.description.hostname if node is not None else ""
        return f"node {hostname} ({node_id})" if hostname else f"node {node_id}"

    # Agents.

    async def ListenSubscriptions(
        self, request: api.ListenSubscriptionsRequest, context: Any
    ) -> AsyncIterator[api.SubscriptionMessage]:
        """What is asked of the node that calls, and what no longer is; ends with its next call."""
        node_id = caller(context).node_id
        listener = _Listener(node_id, lambda: self._asked_of(node_id))
        earlier = self._listeners.get(node_id)
        self._listeners[node_id] = listener
        if earlier is not None:
            earlier.end()
        try:
            async for message in listener.messages():
                yield message
        finally:
            if self._listeners.get(node_id) is listener:
                del self._listeners[node_id]
                self._lost(node_id)

    async def PublishLogs(
        self, request_iterator: AsyncIterator[api.PublishLogsMessage], context: Any
    ) -> api.PublishLogsResponse:
        """Take one node's output for one subscription, as fast as its subscriber reads it."""
        node_id = caller(context).node_id
        subscription: Subscription | None = None
        failure = f"{self._name(node_id)} broke off"
        try:
            async for message in request_iterator:
                subscription = self._subscription_of(message, subscription)
                if message.close:
                    break
                _check_sender(message, node_id)
                subscription.hear(node_id, message.messages)
                await subscription.outbox.put(message.messages)
            failure = ""
        finally:
            if subscription is not None:
                subscription.done(node_id, failure)
        return api.PublishLogsResponse()

    def _subscription_of(
        self, message: api.PublishLogsMessage, earlier: Subscription | None
    ) -> Subscription:
        if not message.subscription_id:
            raise InvalidArgumentError("missing subscription ID")
        if earlier is not None and earlier.id != message.subscription_id:
            raise InvalidArgumentError("different subscription IDs in the same session")
        found = self._subscriptions.get(message.subscription_id)
        if found is None:
            raise NotFoundError("subscription", message.subscription_id)
        return found

    def _asked_of(self, node_id: str) -> dict[str, Subscription]:
        return {key: one for key, one in self._subscriptions.items() if node_id in one.nodes}

    def _lost(self, node_id: str) -> None:
        for subscription in self._asked_of(node_id).values():
            subscription.done(node_id, f"{self._name(node_id)} disconnected")


class _Listener:
    """One agent's ListenSubscriptions; sends the difference to what it was last told."""

    def __init__(self, node_id: str, asked: Callable[[], dict[str, Subscription]]) -> None:
        self._node_id = node_id
        self._asked = asked
        self._told: dict[str, Subscription] = {}
        self._wake = asyncio.Event()
        self._is_over = False

    def wake(self) -> None:
        """There may be something to tell."""
        self._wake.set()

    def end(self) -> None:
        """The same agent listens anew."""
        self._is_over = True
        self._wake.set()

    async def messages(self) -> AsyncIterator[api.SubscriptionMessage]:
        while not self._is_over:
            asked = self._asked()
            over = [one for key, one in self._told.items() if key not in asked]
            new = [one for key, one in asked.items() if key not in self._told]
            self._told = asked
            self._wake.clear()
            for subscription in over:
                yield subscription.message(self._node_id, close=True)
            for subscription in new:
                yield subscription.message(self._node_id)
            await self._wake.wait()


def _selects(subscription: Subscription) -> list[Select[Any]]:
    """A task's status matters only until it has a node; a node matters once it is down."""

    def is_news(event: AnyChange) -> bool:
        is_placed = isinstance(event, Updated) and event.old.node_id == event.object.node_id
        return not is_placed and subscription.concerns(event.object)

    def went_down(event: AnyChange) -> bool:
        is_gone = isinstance(event, Deleted) or event.object.status.state == _DOWN
        return is_gone and event.object.id in subscription.nodes

    down = Select(api.Node, {Updated, Deleted}, went_down)
    return [down, Select(api.Task, where=is_news)] if subscription.follow else [down]


def _check(request: api.SubscribeLogsRequest) -> None:
    if not request.HasField("selector"):
        raise InvalidArgumentError("log selector must be provided")
    selector = request.selector
    if not (selector.service_ids or selector.task_ids or selector.node_ids):
        raise InvalidArgumentError("log selector must not be empty")


def _check_sender(message: api.PublishLogsMessage, node_id: str) -> None:
    """No node speaks for another."""
    for one in message.messages:
        if one.context.node_id != node_id:
            raise PermissionDeniedError(
                f"invalid NodeID: expected={node_id};received={one.context.node_id}"
            )
