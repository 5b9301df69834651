"""The network between the hosts and the manager: seeded delays, losses, repeats, cuts.

It has the shape of a gRPC channel, so that the agent's own session speaks through it. A link that
is cut delays what is sent, as TCP does, until it is mended; who waits has a time limit of its own.
Both ways of a link can be cut apart. A call may be carried out while its answer is lost, and be
carried out twice, the second time later: an agent's old word then comes after its new one.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Self

import grpc
from grpc import aio

from swarmd.errors import SwarmError
from swarmd.security.identity import WORKER, Caller

_FASTEST_SECONDS: Final = 0.0005
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_REPEAT_SECONDS: Final = 3.0
_NO_METADATA: Final = aio.Metadata()


@dataclass(slots=True)
class Weather:
    """How bad the network is: chances of a call, and the longest delay of a message."""

    lost: float = 0.0
    repeated: float = 0.0
    slowest_seconds: float = 0.003


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler sees of who calls."""

    caller: Caller


class Link:
    """The way from one host to the manager (up) and back (down)."""

    def __init__(self, random: Random, weather: Weather) -> None:
        self._random = random
        self.weather = weather
        self._mended = asyncio.Event()
        self.cut_up = False
        self.cut_down = False

    @property
    def whole(self) -> bool:
        return not (self.cut_up or self.cut_down)

    def cut(self, *, up: bool, down: bool) -> None:
        self.cut_up, self.cut_down = up, down
        if self.whole:
            self._mended.set()
            self._mended = asyncio.Event()

    async def up(self) -> None:
        """Return when a message has come to the manager."""
        while self.cut_up:
            await self._mended.wait()
        await asyncio.sleep(self._delay())

    async def down(self) -> None:
        """Return when a message has come to the host."""
        while self.cut_down:
            await self._mended.wait()
        await asyncio.sleep(self._delay())

    def loses(self) -> bool:
        return self._random.random() < self.weather.lost

    def repeats(self) -> bool:
        return self._random.random() < self.weather.repeated

    def repeat_after(self) -> float:
        return self._random.uniform(0, _REPEAT_SECONDS)

    def _delay(self) -> float:
        # Nearly all messages are quick: the slow ones are those that find faults.
        slow = self._random.random() < 0.1  # noqa: PLR2004
        return self._random.uniform(
            _FASTEST_SECONDS, self.weather.slowest_seconds if slow else 2 * _FASTEST_SECONDS
        )


@dataclass(slots=True, eq=False)
class Server:
    """Where calls are answered, while the manager lives; it ends with everything under way."""

    dispatcher: Any
    under_way: dict[asyncio.Task[None], None] = field(default_factory=dict)

    def spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self.under_way[task] = None
        task.add_done_callback(lambda _: self.under_way.pop(task, None))
        return task

    def end(self) -> None:
        for task in list(self.under_way):
            task.cancel()


class Network:
    """Knows who answers now; None while the manager is down."""

    def __init__(self) -> None:
        self.server: Server | None = None

    def channel(self, link: Link, node_id: str, cluster_id: str) -> "Channel":
        caller = Caller(node_id, WORKER, cluster_id, f"10.0.0.1:{len(node_id)}", local=False)
        return Channel(self, link, Context(caller))


class Channel:
    """What a stub asks of a gRPC channel."""

    def __init__(self, network: Network, link: Link, context: Context) -> None:
        self._network = network
        self._link = link
        self._context = context

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Its streams are ended by who opened them."""

    def unary_unary(self, method: str, *_: Any, **__: Any) -> Callable[..., Any]:
        name = method.rpartition("/")[2]

        async def call(request: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109  gRPC's
            try:
                async with asyncio.timeout(timeout):
                    return await self._exchange(name, request)
            except TimeoutError:
                raise _rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time") from None

        return call

    def unary_stream(self, method: str, *_: Any, **__: Any) -> Callable[..., Any]:
        service, name = method.strip("/").split("/")

        def call(request: Any) -> Stream:
            stream = Stream()
            if service.endswith("Dispatcher"):
                stream.open(self._network, self._link, self._context, name, request)
            else:
                stream.end(_rpc_error(grpc.StatusCode.UNIMPLEMENTED, "not simulated"))
            return stream

        return call

    def stream_unary(self, method: str, *_: Any, **__: Any) -> Callable[..., Any]:
        def call(*_: Any, **__: Any) -> Any:
            raise _rpc_error(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not simulated")

        return call

    stream_stream = stream_unary

    async def _exchange(self, name: str, request: Any) -> Any:
        await self._link.up()
        server = self._network.server
        if server is None:
            raise _rpc_error(grpc.StatusCode.UNAVAILABLE, "connection refused")
        copied = _copy(request)
        if self._link.repeats():
            _ = server.spawn(self._repeat(server, name, _copy(request)))
        answer = await self._handle(server, name, copied)
        if self._link.loses():
            await asyncio.Event().wait()  # the caller's time limit ends it
        await self._link.down()
        return _copy(answer)

    async def _handle(self, server: Server, name: str, request: Any) -> Any:
        try:
            return await getattr(server.dispatcher, name)(request, self._context)
        except SwarmError as error:
            raise _from_swarm_error(error) from None

    async def _repeat(self, server: Server, name: str, request: Any) -> None:
        await asyncio.sleep(self._link.repeat_after())
        try:
            await self._handle(server, name, request)
        except aio.AioRpcError:
            return  # its caller has an answer already


class Stream:
    """A call that is answered by many messages."""

    def __init__(self) -> None:
        self._come: deque[Any] = deque()
        self._error: aio.AioRpcError | None = None
        self._ended = False
        self._waiting: asyncio.Future[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def open(self, network: Network, link: Link, context: Context, name: str, request: Any) -> None:
        """Send the request on its way."""
        work = self._open(network, link, context, name, request)
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    def cancel(self) -> None:
        """The caller has no use for it any more."""
        for task in self._tasks:
            task.cancel()

    def end(self, error: aio.AioRpcError | None) -> None:
        """No message comes any more."""
        self._ended, self._error = True, error
        self._wake()

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Any:
        while not self._come:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return self._come.popleft()

    async def _open(
        self, network: Network, link: Link, context: Context, name: str, request: Any
    ) -> None:
        await link.up()
        server = network.server
        if server is None:
            self.end(_rpc_error(grpc.StatusCode.UNAVAILABLE, "connection refused"))
            return
        answering = self._serve(server, link, context, name, _copy(request))
        self._tasks.append(server.spawn(answering))

    async def _serve(
        self, server: Server, link: Link, context: Context, name: str, request: Any
    ) -> None:
        error: aio.AioRpcError | None = _rpc_error(grpc.StatusCode.UNAVAILABLE, "connection reset")
        try:
            async with aclosing(getattr(server.dispatcher, name)(request, context)) as messages:
                async for message in messages:
                    copied = _copy(message)
                    await link.down()
                    self._come.append(copied)
                    self._wake()
            error = None
        except SwarmError as refusal:
            error = _from_swarm_error(refusal)
        finally:
            self.end(error)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _copy(message: Any) -> Any:
    """As on a wire: nobody shares a message with the far side."""
    return type(message).FromString(message.SerializeToString())


def _from_swarm_error(error: SwarmError) -> aio.AioRpcError:
    return _rpc_error(_CODES[int(error.status)], str(error))


def _rpc_error(code: grpc.StatusCode, details: str) -> aio.AioRpcError:
    return aio.AioRpcError(code, _NO_METADATA, _NO_METADATA, details=details, debug_error_string="")
