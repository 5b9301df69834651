"""A follower passes a call on to the leader, in the name of who sent it.

The caller's identity goes with it as SwarmKit's managers pass it on: in metadata, believed only of
a manager. Streams are passed on message by message, each side slowing down the other.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from swarmd.rpc.errors import from_rpc_error
from swarmd.rpc.limits import ANY_SIZE
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
_MEET: Final = "swarmd.v1.Quorum.Meet"
Metadata = Sequence[tuple[str, str]]


class Leader(Protocol):
    """Where to find who leads."""

    @property
    def is_here(self) -> bool:
        """This manager leads, or has no others."""

    async def channel(self) -> aio.Channel:
        """To the manager that leads, waiting for one a while; raises UnavailableError."""


def goes_to_leader(method: MethodDescriptor) -> bool:
    """Whether only the leader can answer it."""
    service = method.containing_service.full_name
    return service not in _ANSWERED_HERE and method.full_name != _MEET


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
    method: MethodDescriptor, channel: aio.Channel, request: Any, caller: Caller, left: float | None
) -> AsyncGenerator[Any, None]:
    """The leader's answers, one or many; raises SwarmError as the leader did."""
    takes, gives = method.client_streaming, method.server_streaming
    kind = f"{'stream' if takes else 'unary'}_{'stream' if gives else 'unary'}"
    call = getattr(channel, kind)(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )(request, metadata=(*metadata_of(caller), ANY_SIZE), timeout=left)
    try:
        if not gives:
            yield await call
            return
        async for answer in call:
            yield answer
    except aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    finally:
        call.cancel()


async def only(answers: AsyncGenerator[Any, None]) -> Any:
    """The one answer of a call that has one."""
    async with aclosing(answers) as stream:
        return await anext(stream)
