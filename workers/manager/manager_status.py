"""The managers as a group: which nodes are managers, at what address, and which one leads."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from swarmd import api
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import ReadTx, Store, WriteTx, by
from workers.manager.addresses import takes_connections

log = get_logger(__name__)
_REACHABLE: Final = api.RaftMemberStatus.Reachability.REACHABLE
_UNREACHABLE: Final = api.RaftMemberStatus.Reachability.UNREACHABLE
_LOOK_SECONDS: Final = 1.0


class ManagerStatus:
    """Keeps this node's object saying that it leads, while it runs; answers for every node."""

    def __init__(self, store: Store, node_id: str, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._node_id = node_id
        self.address = ""
        """Where other nodes find this manager; set before `run`."""
        self.reason: Callable[[], str] = lambda: ""
        """Why there can be no other manager; empty where there can."""

    def refusal(self) -> str:
        return self.reason()

    def status(self, node_id: str) -> api.ManagerStatus | None:
        """How that node does as a manager; None for one that is none."""
        node = self._store.view().nodes.get(node_id)
        return node.manager_status if node and node.HasField("manager_status") else None

    async def run(self) -> None:
        """Say who leads, once, and from then on who is reached, until cancelled."""
        await self._write({})
        while True:
            others = [one for one in self._managers(self._store.view()) if one.id != self._node_id]
            reached = await asyncio.gather(
                *(takes_connections(one.manager_status.addr) for one in others)
            )
            states = {one.id: up for one, up in zip(others, reached, strict=True)}
            await self._write(states)
            await self._clock.sleep(_LOOK_SECONDS)

    async def _write(self, states: Mapping[str, bool]) -> None:
        """What cannot be written now, on a full disk say, is written after the next look."""
        try:
            await self._store.update(partial(self._tell, states=states))
        except SwarmError as error:
            log.warning("cannot say how the managers are", extra=fields(error=error))

    def _tell(self, tx: WriteTx, states: Mapping[str, bool]) -> None:
        for manager in self._managers(tx):
            node = tx.nodes.copy(manager.id)
            status = node.manager_status
            status.leader = node.id == self._node_id
            if status.leader:
                status.addr = self.address
            if status.leader or node.id in states:
                up = states.get(node.id, True)
                status.reachability = _REACHABLE if up else _UNREACHABLE
            status.raft_id = status.raft_id or _next_id(tx)
            if status != manager.manager_status:
                tx.nodes.update(node)

    def _managers(self, tx: ReadTx) -> list[api.Node]:
        """Itself, and each node that is a manager and was heard of as one."""
        found = tx.nodes.find(by.role(api.NodeRole.MANAGER))
        return [one for one in found if one.id == self._node_id or one.manager_status.addr]


def _next_id(tx: ReadTx) -> int:
    """A number that no other manager has; only SwarmKit's Raft had a use for it."""
    found = tx.nodes.find(by.role(api.NodeRole.MANAGER))
    return max((one.manager_status.raft_id for one in found), default=0) + 1
