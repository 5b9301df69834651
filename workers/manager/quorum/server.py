"""What other managers ask of this one: to join, and where everyone is."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final

from swarmd import api
from swarmd.api.protos.quorum_pb2 import (
    JoinQuorumRequest,
    JoinQuorumResponse,
    MeetRequest,
    MeetResponse,
)
from swarmd.api.protos.quorum_pb2_grpc import QuorumServicer as Generated
from swarmd.errors import InvalidArgumentError, NotFoundError, UnavailableError
from swarmd.quorum_file import FORCED
from swarmd.rpc.authorize import caller
from swarmd.store import Store, WriteTx, by
from workers.manager.quorum.addresses import AddressBook
from workers.manager.quorum.members import Membership

Share = Callable[[], Awaitable[tuple[Membership, Sequence[bytes]]]]
Tell = Callable[[int, Sequence[bytes]], Awaitable[None]]
_LAST_PORT: Final = 65_535


class Joins:
    """Takes managers in, one at a time.

    `share` sees to it that the store is one that another manager can join: it gives who keeps the
    members and the data keys then, or raises UnavailableError while the store moves. `tell` has the
    quorum know which of these keys a new member, by etcd's number, is given.
    """

    def __init__(self, store: Store, book: AddressBook, share: Share, tell: Tell) -> None:
        self._tell = tell
        self._store = store
        self._book = book
        self._share = share
        self._one_by_one = asyncio.Lock()

    async def take_in(self, node_id: str, addr: str) -> JoinQuorumResponse:
        """Every member's address, and the data key; nothing of it for who is a worker now.

        One that is a member already has lost what it had as one: it begins anew.
        """
        if self._book.file is not None and self._book.file.start == FORCED:
            raise UnavailableError("this manager has just begun to go on alone: try again")
        async with self._one_by_one:
            if self._is_worker(node_id):
                return JoinQuorumResponse(demoted=True)
            membership, _ = await self._share()
            await self._store.update(lambda tx: _found_at(tx, node_id, addr))
            members = await membership.add(node_id, self._away())
            _, keys = await self._share()  # as of now: from here on it counts as a member
            await self._tell(members[node_id].number, keys)
        return JoinQuorumResponse(members=self._addresses(members, node_id), data_keys=keys)

    async def stand(self, node_id: str, addr: str) -> JoinQuorumResponse:
        """The same for one that has been a member: whether it is one yet."""
        if self._is_worker(node_id):
            return JoinQuorumResponse(demoted=True)
        membership, keys = await self._share()
        members = await membership.members()
        if node_id not in members:
            return JoinQuorumResponse(members=self._addresses(members, node_id))
        await self._store.update(lambda tx: _found_at(tx, node_id, addr))
        return JoinQuorumResponse(members=self._addresses(members, node_id), data_keys=keys)

    def _away(self) -> set[str]:
        """Managers that do not answer, as far as it is known yet."""
        down = api.RaftMemberStatus.Reachability.UNREACHABLE
        managers = self._store.view().nodes.find(by.role(api.NodeRole.MANAGER))
        return {one.id for one in managers if one.manager_status.reachability == down}

    def _is_worker(self, node_id: str) -> bool:
        """Raises UnavailableError while the node is between the two roles."""
        node = self._store.view().nodes.get(node_id)
        if node is None:
            raise NotFoundError("node", node_id)
        if node.role == api.NodeRole.WORKER:
            return True
        if node.spec.desired_role == api.NodeRole.WORKER:
            raise UnavailableError(f"node {node_id} is being demoted: try again")
        return False

    def _addresses(self, members: Collection[str], own_id: str) -> dict[str, str]:
        managers = self._store.view().nodes.find(by.role(api.NodeRole.MANAGER))
        known = {**self._book.members, **{one.id: one.manager_status.addr for one in managers}}
        return {name: known.get(name, "") for name in members}


class QuorumServicer(Generated):
    """`joins` is None while this manager has no quorum itself."""

    def __init__(self, book: AddressBook, joins: Joins | None = None) -> None:
        self._book = book
        self._joins = joins

    async def Join(self, request: JoinQuorumRequest, context: Any) -> JoinQuorumResponse:
        """The caller's node is a manager by its certificate; the leader knows what it is now."""
        _check_address(request.addr)
        if self._joins is None:
            raise UnavailableError("this manager has no quorum now: try another one")
        answer = self._joins.stand if request.member else self._joins.take_in
        return await answer(caller(context).node_id, request.addr)

    async def Meet(self, request: MeetRequest, context: Any) -> MeetResponse:
        """Remember where the caller is, and say where the others are."""
        _check_address(request.addr)
        await self._book.learn({caller(context).node_id: request.addr})
        return MeetResponse(members=dict(self._book.members))


def _found_at(tx: WriteTx, node_id: str, addr: str) -> None:
    node = tx.nodes.copy(node_id)
    if node.manager_status.addr != addr:
        node.manager_status.addr = addr
        tx.nodes.update(node)


def _check_address(addr: str) -> None:
    host, _, port = addr.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
        raise InvalidArgumentError(f"addr: {addr!r} is not HOST:PORT")
