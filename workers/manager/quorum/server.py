"""What other managers ask of this one: to join, and where everyone is."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from swarmd import api
from swarmd.api.protos.quorum_pb2 import (
    JoinQuorumRequest,
    JoinQuorumResponse,
    MeetRequest,
    MeetResponse,
)
from swarmd.api.protos.quorum_pb2_grpc import QuorumServicer as Generated
from swarmd.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError
from swarmd.rpc.authorize import caller
from swarmd.store import Store, WriteTx
from workers.manager.quorum.addresses import AddressBook
from workers.manager.quorum.members import Membership

Share = Callable[[], Awaitable[tuple[Membership, bytes]]]


class Joins:
    """Takes managers in, one at a time.

    `share` sees to it that the store is one that another manager can join: it gives who keeps the
    members and the data key then, or raises UnavailableError while the store moves.
    """

    def __init__(self, store: Store, book: AddressBook, share: Share) -> None:
        self._store = store
        self._book = book
        self._share = share
        self._one_by_one = asyncio.Lock()

    async def take_in(self, node_id: str, addr: str) -> tuple[Mapping[str, str], bytes]:
        """Every member's address, and the data key; for one that is a member already, too."""
        async with self._one_by_one:
            membership, data_key = await self._share()
            await self._store.update(lambda tx: _found_at(tx, node_id, addr))
            members = await membership.add(node_id)
        known = {**self._book.members, node_id: addr}
        return {name: known.get(name, "") for name in members}, data_key


class QuorumServicer(Generated):
    """`joins` is None while this manager has no quorum itself."""

    def __init__(self, book: AddressBook, joins: Joins | None = None) -> None:
        self._book = book
        self._joins = joins

    async def Join(self, request: JoinQuorumRequest, context: Any) -> JoinQuorumResponse:
        """The caller's node is a manager by its certificate, which the leader has issued."""
        _check_address(request.addr)
        if self._joins is None:
            raise UnavailableError("this manager has no quorum now: try another one")
        members, data_key = await self._joins.take_in(caller(context).node_id, request.addr)
        return JoinQuorumResponse(members=dict(members), data_key=data_key)

    async def Meet(self, request: MeetRequest, context: Any) -> MeetResponse:
        """Remember where the caller is, and say where the others are."""
        _check_address(request.addr)
        await self._book.learn({caller(context).node_id: request.addr})
        return MeetResponse(members=dict(self._book.members))


def _found_at(tx: WriteTx, node_id: str, addr: str) -> None:
    node = tx.nodes.copy(node_id)
    if node.role != api.NodeRole.MANAGER:
        raise FailedPreconditionError(f"node {node_id} is no manager of this cluster any more")
    if node.manager_status.addr != addr:
        node.manager_status.addr = addr
        tx.nodes.update(node)


def _check_address(addr: str) -> None:
    host, _, port = addr.rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidArgumentError(f"addr: {addr!r} is not HOST:PORT")
