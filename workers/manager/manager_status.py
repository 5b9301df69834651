"""The managers as a group: which nodes are managers, at what address, and which one leads."""

import asyncio
from typing import Final

from swarmd import api
from swarmd.store import Store, WriteTx

_REACHABLE: Final = api.RaftMemberStatus.Reachability.REACHABLE
_ONLY_ID: Final = 1
"""The member id of a manager that has no peers; only SwarmKit's Raft had a use for it."""


class ManagerStatus:
    """Keeps this node's object saying that it leads, while it runs; answers for every node."""

    def __init__(self, store: Store, node_id: str) -> None:
        self._store = store
        self._node_id = node_id
        self.address = ""
        """Where other nodes find this manager; set before `run`."""

    def status(self, node_id: str) -> api.ManagerStatus | None:
        """How that node does as a manager; None for one that is none."""
        node = self._store.view().nodes.get(node_id)
        return node.manager_status if node and node.HasField("manager_status") else None

    async def run(self) -> None:
        """Say it once; until cancelled there is nothing more to say."""
        await self._store.update(self._lead)
        await asyncio.Event().wait()

    def _lead(self, tx: WriteTx) -> None:
        node = tx.nodes.copy(self._node_id)
        status = api.ManagerStatus(
            raft_id=_ONLY_ID, addr=self.address, leader=True, reachability=_REACHABLE
        )
        if node.manager_status != status:
            node.manager_status.CopyFrom(status)
            tx.nodes.update(node)
