"""A follower passes a call on to the leader, in the name of who sent it.

The caller's identity goes with it as SwarmKit's managers pass it on: in metadata, believed only of
a manager. Streams are passed on message by message, each side slowing down the other.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from swarmd.errors import UnavailableError
from swarmd.rpc.errors import from_rpc_error
from swarmd.rpc.limits import ANY_SIZE, RECEIVES
from swarmd.security.identity import Caller, Identity, Peer

_FORWARDED: Final = "forwarded_cert"
_NODE_ID: Final = "forwarded_cert_cn"
_ROLE: Final = "forwarded_cert_ou"
_CLUSTER_ID: Final = "forwarded_cert_org"
_REMOTE_ADDR: Final = "remote_addr"
# What every manager answers itself: from its own copy of the store, or of itself.
_ANSWERED_HERE: Final = frozenset(
    {
        "docker.swarmkit.v1.Health",
        "docker.swarmkit.v1.Watch",
        "swarmd.v1.Autolock",
    }
)
_OURS: Final = "swarmd-"
FORCE: Final = (f"{_OURS}force", "true")
"""Goes with a call that is to be done whatever is at stake, where without it that is refused."""
_MEET: Final = "swarmd.v1.Quorum.Meet"
PATIENCE_SECONDS: Final = 8.0  # of a call, while nobody leads: longer than a leader is chosen
Metadata = Sequence[tuple[str, str]]


class Leader(Protocol):
    """Where to find who leads."""

    @property
    def is_here(self) -> bool:
        """This manager leads, or has no others."""

    async def find(self, *, within: float, passed_on: bool) -> aio.Channel | None:
        """The way to who leads, waiting for one so many seconds; None once that is this manager.

        Raises UnavailableError, which says why there is nobody, and at once within no seconds at
        all; of a call that another manager passed on, NotLeaderError, sooner.
        """

    async def channel(self) -> aio.Channel:
        """To the manager that leads, waiting for one a while; raises UnavailableError."""

    async def pause(self) -> None:
        """A moment, before it is asked again."""


def goes_to_leader(method: MethodDescriptor) -> bool:
    """Whether only the leader can answer it."""
    service = method.containing_service.full_name
    return service not in _ANSWERED_HERE and method.full_name != _MEET


def is_read(method: MethodDescriptor) -> bool:
    """Whether it may be asked twice: it changes nothing, and has one answer."""
    streams = method.client_streaming or method.server_streaming
    return not streams and method.name.startswith(("Get", "List"))


def is_passed_on(metadata: Iterable[Any]) -> bool:
    """Whether a manager passed the call on; it does not go further then."""
    return any(key == _FORWARDED for key, _ in metadata)


def metadata_of(caller: Caller) -> Metadata:
    """Who sent the call, to go with it; blank names are of one that showed no certificate."""
    return (
        (_FORWARDED, "true"),
        (_NODE_ID, caller.node_id),
        (_ROLE, caller.role),
        (_CLUSTER_ID, caller.cluster_id),
        (_REMOTE_ADDR, caller.remote_addr),
    )


def forwarded_peer(metadata: Metadata) -> Peer | None:
    """In whose name a manager sent the call; None where it is in its own."""
    values = dict(metadata)
    if values.get(_FORWARDED) != "true":
        return None
    identity = Identity(
        values.get(_NODE_ID, ""), values.get(_ROLE, ""), values.get(_CLUSTER_ID, "")
    )
    return Peer(identity if identity.node_id else None, values.get(_REMOTE_ADDR, ""), local=False)


async def pass_on(
    method: MethodDescriptor, channel: aio.Channel, request: Any, context: Any
) -> AsyncGenerator[Any, None]:
    """The leader's answers, one or many, to who called here; raises SwarmError as the leader did.

    UnavailableError when it leads no more: the call may have done its work, or part of it.
    """
    takes, gives = method.client_streaming, method.server_streaming
    kind = f"{'stream' if takes else 'unary'}_{'stream' if gives else 'unary'}"
    told = (*metadata_of(context.caller), *_further(context.invocation_metadata()), ANY_SIZE)
    call = getattr(channel, kind)(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )(request, metadata=told, timeout=context.time_remaining())
    try:
        if not gives:
            yield await call
            return
        async for answer in call:
            yield answer
    except aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # who called went away
        raise UnavailableError(
            "the leader changed: look whether it happened, and try again"
        ) from None
    finally:
        call.cancel()


def _further(metadata: Iterable[Any] | None) -> Iterator[tuple[str, Any]]:
    """What of the call's own metadata means something to the leader."""
    for key, value in metadata or ():
        if key.startswith(_OURS) and key != RECEIVES:
            yield key, value


async def only(answers: AsyncGenerator[Any, None]) -> Any:
    """The one answer of a call that has one."""
    async with aclosing(answers) as stream:
        return await anext(stream)
