"""A new manager's part: ask one that is in the quorum, and keep what it answers."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from grpc import aio

from swarmd.api.protos.quorum_pb2 import JoinQuorumRequest, JoinQuorumResponse
from swarmd.api.protos.quorum_pb2_grpc import QuorumStub
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import (
    CannotBootError,
    FailedPreconditionError,
    NotFoundError,
    PermissionDeniedError,
    SwarmError,
    UnavailableError,
)
from swarmd.logs import fields, get_logger
from swarmd.quorum_file import EXISTING, QuorumFile, discard
from swarmd.rpc.channel import dial_manager
from swarmd.rpc.errors import from_rpc_error
from swarmd.security import data_key
from swarmd.security.certificates import NodeCertificates
from swarmd.state_dir import PRIVATE_DIR, StateDir

log = get_logger(__name__)
_CALL_SECONDS: Final = 20.0  # the store may move first
_STANDING_SECONDS: Final = 5.0


class DismissedError(SwarmError):
    """The other managers do not count this one among them; `address` is of one that said so."""

    def __init__(self, address: str) -> None:
        super().__init__(f"by the word of the manager at {address} this one is none of them")
        self.address = address


class DemotedError(DismissedError):
    """Its node is a worker now."""


class NoMemberError(DismissedError):
    """It may join again, with nothing of what it has."""


def other_managers(state_dir: StateDir, own_id: str) -> list[str]:
    """The addresses of managers that this node knows from its agent's file, but its own."""
    try:
        known = json.loads(state_dir.remotes.read_bytes()) or []
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise CannotBootError(f"{state_dir.remotes} is damaged: move it away ({error})") from error
    return [one["addr"] for one in known if one.get("node_id", "") != own_id]


async def join_quorum(
    addresses: Callable[[], Sequence[str]],
    own_address: str,
    state_dir: StateDir,
    clock: Clock,
    random: Random,
) -> QuorumFile:
    """Become a learner of the quorum that one of these managers is in; asks until it is one.

    Raises DemotedError, or CannotBootError where they do not want it.
    """
    backoff = Backoff(0.1, 3.0, random)
    while True:
        for address in await asyncio.to_thread(addresses):
            request = JoinQuorumRequest(addr=own_address)
            try:
                answer = await _ask(address, request, state_dir, _CALL_SECONDS)
            except UnavailableError as error:
                log.info("cannot join the managers yet", extra=fields(at=address, reason=error))
            except FailedPreconditionError as error:
                raise CannotBootError(f"the managers do not take this one: {error}") from error
            else:
                if answer.demoted:
                    raise DemotedError(address)
                return await asyncio.to_thread(_keep, state_dir, answer)
        await clock.sleep(backoff.next())


async def check_standing(
    addresses: Sequence[str], own_address: str, state_dir: StateDir
) -> Mapping[str, str]:
    """Ask these managers whether this one is still a member: then all members, by node id.

    None of them where nobody can tell.

    Raises DemotedError, NoMemberError, or CannotBootError where its node was removed.
    """
    own_id = (await asyncio.to_thread(NodeCertificates.load, state_dir)).identity.node_id
    for address in addresses:
        request = JoinQuorumRequest(addr=own_address, member=True)
        try:
            answer = await _ask(address, request, state_dir, _STANDING_SECONDS)
        except SwarmError as error:
            if isinstance(error, CannotBootError):
                raise
            log.debug("does not know how I stand", extra=fields(at=address, reason=error))
            continue
        if answer.demoted:
            raise DemotedError(address)
        if own_id not in answer.members:
            raise NoMemberError(address)
        return dict(answer.members)
    return {}


async def _ask(
    address: str, request: JoinQuorumRequest, state_dir: StateDir, seconds: float
) -> JoinQuorumResponse:
    certificates = await asyncio.to_thread(NodeCertificates.load, state_dir)
    channel = dial_manager(address, certificates)
    try:
        return await QuorumStub(channel).Join(request, timeout=seconds)
    except aio.AioRpcError as error:
        raise _in_words(from_rpc_error(error), certificates) from error
    finally:
        await channel.close(None)


def _in_words(error: SwarmError, certificates: NodeCertificates) -> SwarmError:
    if not isinstance(error, PermissionDeniedError | NotFoundError):
        return error
    shown = certificates.identity
    return CannotBootError(
        f"node {shown.node_id} is no node of cluster {shown.cluster_id} any more ({error}): "
        "`swarmd leave --force` here, then `swarmd join` with a token"
    )


async def announce(channel: aio.Channel, own_address: str) -> Sequence[bytes]:
    """Tell the leader, at the end of this channel, where this member is; raises SwarmError.

    Returns the data keys that the leader has.
    """
    request = JoinQuorumRequest(addr=own_address, member=True)
    try:
        answer = await QuorumStub(channel).Join(request, timeout=_CALL_SECONDS)
    except aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    return list(answer.data_keys)


def _keep(state_dir: StateDir, answer: JoinQuorumResponse) -> QuorumFile:
    """The data key first: with the other file there, this manager is one of the quorum."""
    data_key.adopt(state_dir.node_key, answer.data_keys)
    own_id = NodeCertificates.load(state_dir).identity.node_id
    quorum = QuorumFile(node_id=own_id, members=dict(answer.members), start=EXISTING)
    discard(state_dir.etcd)  # of an earlier time in a quorum
    state_dir.etcd.mkdir(mode=PRIVATE_DIR)
    quorum.save(state_dir.quorum)
    return quorum
