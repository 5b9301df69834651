"""One registration with one dispatcher: heartbeats, messages, assignments, reports.

    session = Session(channel, clock)
    first = await session.register(description, earlier_id)
    await session.run(…)                     # until it breaks: raises a SwarmError

Nothing of a session is mended: whatever goes wrong ends it, and the agent begins a new one.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any, Final, NoReturn, TypeVar

from grpc import aio

from swarmd import api
from swarmd.api import times
from swarmd.api.protos.dispatcher_pb2_grpc import DispatcherStub
from swarmd.clock import Clock
from swarmd.errors import FailedPreconditionError, SwarmError, UnavailableError
from swarmd.logs import fields, get_logger
from swarmd.rpc.errors import from_rpc_error
from workers.agent.assignments import continues
from workers.agent.csi.reports import VolumeReports
from workers.agent.reporter import Reporter, Update

log = get_logger(__name__)

RPC_SECONDS: Final = 5.0
_DEFAULT_PERIOD_SECONDS: Final = 5.0
_T = TypeVar("_T")


class Session:
    """Speaks to the dispatcher behind a channel; whoever made the channel closes it."""

    def __init__(self, channel: aio.Channel, clock: Clock) -> None:
        self._dispatcher = DispatcherStub(channel)
        self._clock = clock
        self._messages: AsyncIterator[api.SessionMessage] | None = None
        self._call: Any = None
        self.id = ""

    async def register(
        self, description: api.NodeDescription, session_id: str
    ) -> api.SessionMessage:
        """Say who this node is, and give the dispatcher's first message.

        With the id of an earlier session, which the dispatcher may still know, the node is not
        registered anew. Raises UnavailableError when no answer comes in time.
        """
        call = self._dispatcher.Session(
            api.SessionRequest(description=description, session_id=session_id)
        )
        self._call, self._messages = call, _read(call)
        try:
            async with asyncio.timeout(RPC_SECONDS):
                first = await anext(self._messages)
        except TimeoutError as error:
            call.cancel()
            raise UnavailableError("the manager did not answer in time") from error
        self.id = first.session_id
        return first

    def close(self) -> None:
        """End its stream; the connection may carry on with another session."""
        if self._call is not None:
            self._call.cancel()

    async def run(
        self,
        on_message: Callable[[api.SessionMessage], None],
        on_assignments: Callable[[api.AssignmentsMessage], None],
        reporter: Reporter,
        volumes: VolumeReports,
    ) -> NoReturn:
        """Keep the session, and pass on what comes; raises the SwarmError that ended it."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._heartbeat())
                group.create_task(self._listen(on_message))
                group.create_task(self._watch(on_assignments))
                group.create_task(reporter.run(self._report))
                group.create_task(volumes.run(self._report_unpublished))
        except BaseExceptionGroup as failures:
            raise first_error(failures) from None
        raise AssertionError("a session ends with an error only")

    async def _heartbeat(self) -> None:
        request = api.HeartbeatRequest(session_id=self.id)
        while True:
            try:
                answer = await self._dispatcher.Heartbeat(request, timeout=RPC_SECONDS)
            except aio.AioRpcError as error:
                raise from_rpc_error(error) from error
            await self._clock.sleep(times.seconds(answer.period) or _DEFAULT_PERIOD_SECONDS)

    async def _listen(self, on_message: Callable[[api.SessionMessage], None]) -> None:
        assert self._messages is not None, "register first"
        async for message in self._messages:
            on_message(message)

    async def _watch(self, on_assignments: Callable[[api.AssignmentsMessage], None]) -> None:
        """Stream after stream: a gap in the chain of one is healed by the next."""
        while True:
            at = ""
            call = self._dispatcher.Assignments(api.AssignmentsRequest(session_id=self.id))
            try:
                async for message in _read(call):
                    if not continues(at, message):
                        log.warning("assignments were lost: asking for all", extra=fields(after=at))
                        break
                    at = message.results_in
                    on_assignments(message)
            finally:
                call.cancel()

    async def _report(self, updates: Sequence[Update]) -> None:
        request = api.UpdateTaskStatusRequest(session_id=self.id, updates=updates)
        try:
            await self._dispatcher.UpdateTaskStatus(request, timeout=RPC_SECONDS)
        except aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    async def _report_unpublished(self, volume_ids: Sequence[str]) -> None:
        request = api.UpdateVolumeStatusRequest(session_id=self.id)
        for volume_id in volume_ids:
            request.updates.add(id=volume_id, unpublished=True)
        try:
            await self._dispatcher.UpdateVolumeStatus(request, timeout=RPC_SECONDS)
        except aio.AioRpcError as error:
            raise from_rpc_error(error) from error


async def _read(call: AsyncIterable[_T]) -> AsyncIterator[_T]:
    """The messages of a stream; raises a SwarmError at its end, however it ends."""
    try:
        async for message in call:
            if message is None:  # grpcio's word for what it could not read
                raise FailedPreconditionError(
                    "the manager sent a message that cannot be read: bytes that are no UTF-8, say,"
                    " in the text of a service"
                )
            yield message
    except aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    raise UnavailableError("the manager ended the session")


def first_error(error: BaseException) -> BaseException:
    """Of what ended a group, the first error that is ours; else the first there is."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    inner = [first_error(each) for each in error.exceptions]
    return next((each for each in inner if isinstance(each, SwarmError)), inner[0])
