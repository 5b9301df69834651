"""A new manager's part: ask one that is in the quorum, and keep what it answers."""

import asyncio
import json
import shutil
from random import Random
from typing import Final

from grpc import aio

from swarmd.api.protos.quorum_pb2 import JoinQuorumRequest, JoinQuorumResponse
from swarmd.api.protos.quorum_pb2_grpc import QuorumStub
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import CannotBootError, FailedPreconditionError, UnavailableError
from swarmd.logs import fields, get_logger
from swarmd.quorum_file import EXISTING, QuorumFile
from swarmd.rpc.channel import dial_manager
from swarmd.rpc.errors import from_rpc_error
from swarmd.security import data_key
from swarmd.security.certificates import NodeCertificates
from swarmd.state_dir import PRIVATE_DIR, StateDir

log = get_logger(__name__)
_CALL_SECONDS: Final = 20.0  # the store may move first


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
    addresses: list[str], own_address: str, state_dir: StateDir, clock: Clock, random: Random
) -> QuorumFile:
    """Become a learner of the quorum that one of these managers is in; asks until it is one.

    Raises CannotBootError where they do not want it.
    """
    backoff = Backoff(0.1, 3.0, random)
    while True:
        for address in addresses:
            try:
                answer = await _ask(address, own_address, state_dir)
                return await asyncio.to_thread(_keep, state_dir, answer)
            except UnavailableError as error:
                log.info("cannot join the managers yet", extra=fields(at=address, reason=error))
            except FailedPreconditionError as error:
                raise CannotBootError(f"the managers do not take this one: {error}") from error
        await clock.sleep(backoff.next())


async def _ask(address: str, own_address: str, state_dir: StateDir) -> JoinQuorumResponse:
    certificates = await asyncio.to_thread(NodeCertificates.load, state_dir)
    channel = dial_manager(address, certificates)
    try:
        request = JoinQuorumRequest(addr=own_address)
        return await QuorumStub(channel).Join(request, timeout=_CALL_SECONDS)
    except aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    finally:
        await channel.close(None)


async def announce(channel: aio.Channel, own_address: str) -> None:
    """Tell the leader, at the end of this channel, where this member is; raises SwarmError."""
    try:
        await QuorumStub(channel).Join(JoinQuorumRequest(addr=own_address), timeout=_CALL_SECONDS)
    except aio.AioRpcError as error:
        raise from_rpc_error(error) from error


def _keep(state_dir: StateDir, answer: JoinQuorumResponse) -> QuorumFile:
    """The data key first: with the other file there, this manager is one of the quorum."""
    data_key.adopt(state_dir.node_key, answer.data_key)
    own_id = NodeCertificates.load(state_dir).identity.node_id
    quorum = QuorumFile(node_id=own_id, members=dict(answer.members), start=EXISTING)
    shutil.rmtree(state_dir.etcd, ignore_errors=True)  # of an earlier time in a quorum
    state_dir.etcd.mkdir(mode=PRIVATE_DIR)
    quorum.save(state_dir.quorum)
    return quorum
