"""Promotion and demotion: a node's role follows what its spec asks for.

A promoted node has the role at once: its next certificate says so, and with that its manager joins.
A demoted one leaves the quorum first, so that its vote is not missed; a leader that is demoted
gives the lead away, and its successor does the rest.
"""

from typing import Final

from swarmd import api
from swarmd.clock import Clock
from swarmd.errors import FailedPreconditionError, SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import Select, Store, WatchOverflowError, WriteTx
from workers.manager.quorum.members import Membership, check_removable

log = get_logger(__name__)
_AGAIN_SECONDS: Final = 5.0
_ROTATE: Final = api.IssuanceStatus.State.ROTATE


class RoleManager:
    """The leader's component; `membership` is None on a manager that has no others."""

    def __init__(
        self, store: Store, membership: Membership | None, own_id: str, clock: Clock
    ) -> None:
        self._store = store
        self._membership = membership
        self._own_id = own_id
        self._clock = clock

    async def run(self) -> None:
        while True:
            try:
                async with self._store.watch(Select(api.Node)) as watcher:
                    await self._reconcile()
                    async for _ in watcher:
                        await self._reconcile()
            except WatchOverflowError:
                continue

    async def _reconcile(self) -> None:
        for node in self._store.view().nodes.find():
            if node.spec.desired_role == node.role:
                continue
            try:
                await self._follow(node)
            except FailedPreconditionError as error:
                log.warning("a manager stays one", extra=fields(node=node.id, reason=error))
            except SwarmError as error:
                log.warning("cannot change a role yet", extra=fields(node=node.id, error=error))
                await self._clock.sleep(_AGAIN_SECONDS)

    async def _follow(self, node: api.Node) -> None:
        if node.spec.desired_role == api.NodeRole.WORKER:
            if self._membership is None:
                return
            if node.id == self._own_id:
                self._store.lease.give_away()
                return
            members = await self._membership.members()
            if node.id in members:
                check_removable(members, node.id, self._reachable())
                await self._membership.remove(members[node.id])
        await self._store.update(lambda tx: _set_role(tx, node.id, node.spec.desired_role))
        role = api.NodeRole.Name(node.spec.desired_role)
        log.info("a node has another role", extra=fields(node=node.id, role=role.lower()))

    def _reachable(self) -> set[str]:
        up = api.RaftMemberStatus.Reachability.REACHABLE
        nodes = self._store.view().nodes.find()
        return {node.id for node in nodes if node.manager_status.reachability == up}


def _set_role(tx: WriteTx, node_id: str, role: api.NodeRole.ValueType) -> None:
    node = tx.nodes.copy(node_id)
    node.role = role
    node.certificate.status.state = _ROTATE  # it asks for a certificate that says so
    if role == api.NodeRole.WORKER:
        node.ClearField("manager_status")
    tx.nodes.update(node)
