"""Follow tasks' output for subscribers: what managers ask for, for as long as a session lasts.

It is best effort, as in SwarmKit: trouble with it never ends a session. A subscription has a stream
of its own to the manager, so one whose subscriber reads slowly holds nothing else up; its tasks are
then read as slowly.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from random import Random
from typing import Any, Final, Protocol

from grpc import aio

from swarmd import api
from swarmd.api.protos.logbroker_pb2_grpc import LogBrokerStub
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import SwarmError, UnavailableError, UnimplementedError
from swarmd.logs import fields, get_logger
from swarmd.rpc.errors import from_rpc_error

log = get_logger(__name__)

_PUBLISH: Final = "/docker.swarmkit.v1.LogBroker/PublishLogs"
_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 8.0
_WAITING_MESSAGES: Final = 256
_BATCH_BYTES: Final = 64 << 10
_MOST_READ_AT_ONCE: Final = 16  # tasks of a subscription that does not follow


class Tasks(Protocol):
    """The tasks of this node."""

    def assigned(self) -> Sequence[api.Task]:
        """Those that are assigned now."""

    async def wait_assigned(self) -> None:
        """Return when one more is assigned."""

    def output(
        self, task_id: str, options: api.LogSubscriptionOptions
    ) -> AsyncGenerator[api.LogMessage, None]:
        """What it printed; who follows waits for its beginning."""


class LogPublisher:
    """Publishes to the manager behind a channel; whoever made the channel closes it."""

    def __init__(self, channel: aio.Channel, tasks: Tasks, clock: Clock, random: Random) -> None:
        # grpcio's stubs have no useful static type for an async channel.
        self._broker: Any = LogBrokerStub(channel)
        # SwarmKit's managers end this call well, and send no answer: grpcio would log that.
        self._publish: Any = channel.stream_unary(
            _PUBLISH, api.PublishLogsMessage.SerializeToString, _unread
        )
        self._tasks = tasks
        self._clock = clock
        self._backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, random)

    async def run(self) -> None:
        """Publish what is asked for until cancelled, or until the manager says it never asks."""
        while True:
            try:
                await self._listen()
            except UnimplementedError:
                log.warning("the manager does not ask for logs")
                return
            except SwarmError as error:
                _raise_if_cancelled()
                delay = self._backoff.next()
                log.info("not listening for log subscriptions", extra=fields(reason=error))
                await self._clock.sleep(delay)

    async def _listen(self) -> None:
        """Serve one stream of subscriptions; raises the SwarmError that ended it."""
        running: dict[str, asyncio.Task[None]] = {}
        call = self._broker.ListenSubscriptions(api.ListenSubscriptionsRequest())
        try:
            async with asyncio.TaskGroup() as group:
                try:
                    async for message in call:
                        if message is None:  # grpcio's word for what it could not read
                            break
                        self._backoff.reset()
                        self._take(message, running, group)
                finally:
                    for task in list(running.values()):
                        task.cancel()
        except* aio.AioRpcError as errors:
            raise from_rpc_error(_first(errors)) from None
        finally:
            call.cancel()
        raise UnavailableError("the manager ended the stream of subscriptions")

    def _take(
        self,
        message: api.SubscriptionMessage,
        running: dict[str, asyncio.Task[None]],
        group: asyncio.TaskGroup,
    ) -> None:
        if message.close:
            if task := running.pop(message.id, None):
                task.cancel()
        elif message.id not in running:
            task = running[message.id] = group.create_task(self._serve(message))
            task.add_done_callback(lambda _: running.pop(message.id, None))

    async def _serve(self, message: api.SubscriptionMessage) -> None:
        """Publish all that one subscription asks for."""
        about = fields(subscription=message.id)
        log.debug("publishing logs", extra=about)
        try:
            await _Publication(self._publish, self._tasks, message).run()
        except SwarmError as error:
            extra = fields(subscription=message.id, reason=error)
            log.info("logs cannot be published any more", extra=extra)
        except Exception:
            log.exception("logs cannot be published", extra=about)  # an engine did not say why
        else:
            log.debug("logs published", extra=about)


def _unread(_: bytes) -> None:
    """All that an answer says is that the call ended."""


class _Publication:
    """The output of all tasks that one subscription selects, into one stream."""

    def __init__(self, publish: Any, tasks: Tasks, message: api.SubscriptionMessage) -> None:
        self._publish = publish
        self._tasks = tasks
        self._id = message.id
        self._options = message.options
        self._task_ids = frozenset(message.selector.task_ids)
        self._service_ids = frozenset(message.selector.service_ids)
        self._node_ids = frozenset(message.selector.node_ids)
        self._read: asyncio.Queue[api.LogMessage] = asyncio.Queue(_WAITING_MESSAGES)
        self._turns = asyncio.Semaphore(_MOST_READ_AT_ONCE)

    async def run(self) -> None:
        """Until all is published, or for ever where it follows; raises a SwarmError."""
        call = self._publish()
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send(call))
                await self._collect()
                await self._read.join()
                sending.cancel()
            await call.write(api.PublishLogsMessage(subscription_id=self._id, close=True))
            await call.done_writing()
            with suppress(aio.AioRpcError):  # all was said: how the stream ends tells nothing
                await call
        except* (aio.AioRpcError, asyncio.InvalidStateError) as errors:
            raise _ended(errors) from None
        finally:
            call.cancel()

    async def _collect(self) -> None:
        """Read the tasks that match; where it follows, those too that are yet to come."""
        seen: set[str] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                for task in self._tasks.assigned():
                    if task.id not in seen and self._matches(task):
                        seen.add(task.id)
                        group.create_task(self._read_task(task.id))
                if not self._options.follow:
                    return
                await self._tasks.wait_assigned()

    async def _read_task(self, task_id: str) -> None:
        try:
            if self._options.follow:
                await self._copy(task_id)
            else:
                async with self._turns:
                    await self._copy(task_id)
        except (SwarmError, OSError) as error:
            log.warning("a task's logs cannot be read", extra=fields(task=task_id, reason=error))

    async def _copy(self, task_id: str) -> None:
        async with aclosing(self._tasks.output(task_id, self._options)) as output:
            async for message in output:
                await self._read.put(message)

    async def _send(self, call: Any) -> None:
        while True:
            batch = [await self._read.get()]
            size = batch[0].ByteSize()
            while not self._read.empty() and size < _BATCH_BYTES:
                batch.append(self._read.get_nowait())
                size += batch[-1].ByteSize()
            await call.write(api.PublishLogsMessage(subscription_id=self._id, messages=batch))
            for _ in batch:
                self._read.task_done()

    def _matches(self, task: api.Task) -> bool:
        return (
            task.id in self._task_ids
            or task.service_id in self._service_ids
            or task.node_id in self._node_ids
        )


def _raise_if_cancelled() -> None:
    """A TaskGroup that fails while it is cancelled raises the failure alone."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _ended(errors: BaseExceptionGroup[Any]) -> SwarmError:
    first = _first(errors)
    if isinstance(first, aio.AioRpcError):
        return from_rpc_error(first)
    return UnavailableError("the manager ended the stream")


def _first(errors: BaseExceptionGroup[Any]) -> Any:
    one: BaseException = errors.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one
