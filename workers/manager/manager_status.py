"""The managers as a group: which nodes are managers, at what address, and which one leads."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from swarmd import api
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import ReadTx, Store, WriteTx, by
from workers.manager.ca.external import Own
from workers.manager.reach import Reach

log = get_logger(__name__)
_REACHABLE: Final = api.RaftMemberStatus.Reachability.REACHABLE
_UNREACHABLE: Final = api.RaftMemberStatus.Reachability.UNREACHABLE
_LOOK_SECONDS: Final = 1.0


class ManagerStatus:
    """Keeps this node's object saying that it leads, while it runs; answers for every node."""

    def __init__(self, store: Store, node_id: str, own: Own, clock: Clock) -> None:
        self._store = store
        self._own = own
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
        await self._look(None)
        async with Reach(self._own) as reach:
            while True:
                await self._look(reach)
                await self._clock.sleep(_LOOK_SECONDS)

    async def _look(self, reach: Reach | None) -> None:
        """What cannot be written now, on a full disk say, is written after the next look."""
        try:
            states = await self._states(reach) if reach is not None else {}
            await self._store.update(partial(self._tell, states=states))
        except SwarmError as error:
            log.warning("cannot say how the managers are", extra=fields(error=error))

    async def _states(self, reach: Reach) -> Mapping[str, bool]:
        """Of every other manager, whether it is reached."""
        managers = self._managers(self._store.view())
        others = {one.id: one.manager_status.addr for one in managers if one.id != self._node_id}
        reached = await reach.ask(others.values()) if others else set()
        return {name: at in reached for name, at in others.items()}

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
