"""One gRPC handler for each method of the wire: authorized, its errors told, or not there yet."""

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from swarmd.api.protos import (
    autolock_pb2,
    backup_pb2,
    ca_pb2,
    control_pb2,
    dispatcher_pb2,
    explain_pb2,
    governor_pb2,
    health_pb2,
    journal_pb2,
    logbroker_pb2,
    pages_pb2,
    quorum_pb2,
    raft_pb2,
    resource_pb2,
    watch_pb2,
)
from swarmd.clock import Clock
from swarmd.errors import NotLeaderError, SwarmError, UnavailableError, UnimplementedError
from swarmd.rpc.authorize import Authorizer, CallContext, rule_of
from swarmd.rpc.errors import abort
from swarmd.rpc.forward import (
    PATIENCE_SECONDS,
    Leader,
    goes_to_leader,
    is_passed_on,
    is_read,
    only,
    pass_on,
)
from swarmd.rpc.limits import check_size
from swarmd.rpc.open_calls import OpenCalls
from swarmd.rpc.soundness import each_sound, reader, sound
from swarmd.security.identity import Peer

_FILES: Final = (
    autolock_pb2,
    backup_pb2,
    ca_pb2,
    control_pb2,
    dispatcher_pb2,
    explain_pb2,
    governor_pb2,
    health_pb2,
    journal_pb2,
    logbroker_pb2,
    pages_pb2,
    quorum_pb2,
    raft_pb2,
    resource_pb2,
    watch_pb2,
)
_GENERATED: Final = "swarmd.api.protos."

Behaviour = Callable[[Any, Any], Any]
FindPeer = Callable[[str], Peer]


class Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    """What the server knows to answer: every method of every service of the protos.

    `servicers` derive generated `…Servicer` classes, one or several each. `find_peer` gives the
    far end of a connection by grpcio's name for it; raises PermissionDeniedError for a stranger.
    `leader` is where calls go that this manager, which follows, cannot answer.
    `closed` makes the error of all other methods, where they are not served for a while only.
    """

    def __init__(
        self,
        servicers: Iterable[object],
        authorizer: Authorizer,
        open_calls: OpenCalls,
        find_peer: FindPeer,
        clock: Clock,
        *,
        closed: Callable[[], SwarmError] | None = None,
        leader: Leader | None = None,
    ) -> None:
        self._closed = closed
        self._clock = clock
        self._leader = leader
        self._authorizer = authorizer
        self._open_calls = open_calls
        self._find_peer = find_peer
        owners = dict(_owners(servicers))
        self._handlers = {
            path(method): self._handler(method, owners.get(service.full_name))
            for service in services()
            for method in service.methods
        }

    def service(self, handler_call_details: Any) -> Any:
        found = self._handlers.get(handler_call_details.method)
        return found or _unknown(handler_call_details.method)

    def _handler(self, method: MethodDescriptor, servicer: object | None) -> Any:
        behaviour = _written(method, servicer) or _not_there(path(method), self._closed)
        guarded = self._guard(method, behaviour)
        takes, gives = method.client_streaming, method.server_streaming
        make = getattr(
            grpc,
            f"{'stream' if takes else 'unary'}_{'stream' if gives else 'unary'}_rpc_method_handler",
        )
        return make(
            guarded,
            request_deserializer=reader(GetMessageClass(method.input_type)),
            response_serializer=GetMessageClass(method.output_type).SerializeToString
            if gives
            else None,  # written before, to see how large it is
        )

    def _guard(self, method: MethodDescriptor, behaviour: Behaviour) -> Behaviour:
        name, rule = path(method), rule_of(method)
        take = each_sound if method.client_streaming else sound

        def enter(context: Any) -> CallContext:
            peer = self._find_peer(context.peer())
            metadata = context.invocation_metadata() or ()
            return CallContext(context, self._authorizer.authorize(rule, peer, metadata))

        async def call(request: Any, context: Any) -> Any:
            try:
                entered, request = enter(context), take(request)
                with self._open_calls.holding(entered.caller):
                    reply = await self._answer(method, behaviour, request, entered)
                return reply if method.server_streaming else _written_down(reply, context)
            except Exception as error:  # noqa: BLE001 - abort tells the caller, and logs
                await abort(context, name, error)

        async def stream(request: Any, context: Any) -> None:
            # Written, not yielded: whoever ends the call ends it in here, also during a write.
            try:
                entered, request = enter(context), take(request)
                with self._open_calls.holding(entered.caller):
                    way = await self._way(method, entered)
                    answer = partial(pass_on, method, way) if way is not None else behaviour
                    async with contextlib.aclosing(answer(request, entered)) as replies:
                        async for reply in replies:
                            self._authorizer.check_still_there(entered.caller)
                            await context.write(reply)
            except Exception as error:  # noqa: BLE001 - abort tells the caller, and logs
                await abort(context, name, error)

        return stream if inspect.isasyncgenfunction(behaviour) else call

    async def _way(
        self, method: MethodDescriptor, context: CallContext, within: float = PATIENCE_SECONDS
    ) -> aio.Channel | None:
        """To the leader, in so many seconds; None where this manager is to answer itself."""
        if self._leader is None or self._leader.is_here or not goes_to_leader(method):
            return None
        passed_on = is_passed_on(context.invocation_metadata() or ())
        return await self._leader.find(within=within, passed_on=passed_on)

    async def _answer(
        self, method: MethodDescriptor, behaviour: Behaviour, request: Any, context: CallContext
    ) -> Any:
        """This manager's answer or the leader's; asked once more where that can do no harm."""
        until = self._clock.monotonic() + PATIENCE_SECONDS
        while True:
            way = await self._way(method, context, until - self._clock.monotonic())
            try:
                if way is None:
                    return await behaviour(request, context)
                return await only(pass_on(method, way, request, context))
            except UnavailableError as error:
                nothing_happened = isinstance(error, NotLeaderError) or is_read(method)
                if self._leader is None or method.client_streaming or not nothing_happened:
                    raise
                if is_passed_on(context.invocation_metadata() or ()):
                    raise  # who passed it on asks again
                if self._clock.monotonic() >= until:
                    if isinstance(error, NotLeaderError):  # whose sentence names nobody
                        await self._leader.find(within=0.0, passed_on=False)
                    raise
            await self._leader.pause()


def _written_down(reply: Any, context: Any) -> bytes:
    """The answer's bytes; raises ResourceExhaustedError for more than the client takes."""
    data: bytes = reply.SerializeToString()
    check_size(len(data), context.invocation_metadata() or ())
    return data


def services() -> Iterator[ServiceDescriptor]:
    """Every service of the protos."""
    for file in _FILES:
        yield from file.DESCRIPTOR.services_by_name.values()


def path(method: MethodDescriptor) -> str:
    """A method's name on the wire: /package.Service/Method."""
    return f"/{method.containing_service.full_name}/{method.name}"


def _owners(servicers: Iterable[object]) -> Iterator[tuple[str, object]]:
    """The full name of each service that each servicer serves."""
    known = {service.name: service.full_name for service in services()}
    for servicer in servicers:
        for base in type(servicer).__mro__:
            name = base.__name__.removesuffix("Servicer")
            if base.__module__.startswith(_GENERATED) and name in known:
                yield known[name], servicer


def _written(method: MethodDescriptor, servicer: object | None) -> Behaviour | None:
    """The servicer's own method; None where it only has the generated stand-in."""
    function = getattr(type(servicer), method.name, None)
    if function is None or function.__module__.startswith(_GENERATED):
        return None
    behaviour: Behaviour = getattr(servicer, method.name)
    return behaviour


def _not_there(name: str, closed: Callable[[], SwarmError] | None) -> Behaviour:
    async def refuse(request: Any, context: Any) -> Any:  # noqa: ARG001
        if closed:
            raise closed()
        raise UnimplementedError(f"{name.lstrip('/')} is not implemented by this manager yet")

    return refuse


def _unknown(name: str) -> Any:
    async def refuse(requests: Any, context: Any) -> Any:  # noqa: ARG001
        error = UnimplementedError(f"{name.lstrip('/')} is no method that this manager knows")
        await abort(context, name, error)

    return grpc.stream_stream_rpc_method_handler(refuse)
