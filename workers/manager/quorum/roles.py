"""Promotion and demotion: a node's role follows what its spec asks for.

A promoted node has the role at once: its next certificate says so, and with that its manager joins.
A demoted one leaves the quorum first, so that its vote is not missed; a leader that is demoted
gives the lead away, and its successor does the rest.
"""

import asyncio
from typing import Final

from swarmd import api
from swarmd.api import nodes
from swarmd.clock import Clock, wait_event
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import Select, Store, WatchOverflowError, WriteTx
from workers.manager.quorum.members import Membership, check_removable

log = get_logger(__name__)
_AGAIN_SECONDS: Final = 5.0
_WORKER: Final = api.NodeRole.WORKER


class RoleManager:
    """The leader's component; `membership` is None on a manager that has no others."""

    def __init__(
        self, store: Store, membership: Membership | None, own_id: str, clock: Clock
    ) -> None:
        self._store = store
        self._membership = membership
        self._own_id = own_id
        self._clock = clock
        self._look = asyncio.Event()
        self._said: dict[str, str] = {}

    async def run(self) -> None:
        """Follow the specs until cancelled; what cannot be done yet is tried again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            while True:
                self._look.clear()
                done = await self._reconcile()
                await wait_event(self._look, self._clock, None if done else _AGAIN_SECONDS)

    async def _follow(self) -> None:
        while True:
            try:
                async with self._store.watch(Select(api.Node)) as watcher:
                    self._look.set()
                    async for _ in watcher:
                        self._look.set()
            except WatchOverflowError:
                continue

    async def _reconcile(self) -> bool:
        """Whether every role is as its spec has it now."""
        wanting = [one.id for one in self._store.view().nodes.find() if _differs(one)]
        self._said = {name: said for name, said in self._said.items() if name in wanting}
        for node_id in wanting:
            try:
                await self._change(node_id)
            except SwarmError as error:
                self._say(node_id, str(error))
        return not wanting

    def _say(self, node_id: str, reason: str) -> None:
        """Once, until it is another reason: it is tried again and again."""
        if self._said.get(node_id) != reason:
            self._said[node_id] = reason
            log.warning("a role cannot change yet", extra=fields(node=node_id, reason=reason))

    async def _change(self, node_id: str) -> None:
        """Raises FailedPreconditionError where that would leave no quorum; UnavailableError."""
        if self._membership is not None:
            members = await self._membership.members()
            node = self._store.view().nodes.get(node_id)  # as it is after the wait
            if node is None or not _differs(node):
                return
            if node.spec.desired_role == _WORKER and node_id in members:
                check_removable(members, node_id, self._reachable())
                if node_id == self._own_id:
                    self._store.lease.give_away()
                    return
                await self._membership.remove(members[node_id])
        elif node_id == self._own_id:
            return
        changed = await self._store.update(lambda tx: _follow_spec(tx, node_id))
        log.info("a node has another role", extra=fields(node=node_id, role=changed))

    def _reachable(self) -> set[str]:
        up = api.RaftMemberStatus.Reachability.REACHABLE
        found = self._store.view().nodes.find()
        return {node.id for node in found if node.manager_status.reachability == up}


def _differs(node: api.Node) -> bool:
    return node.spec.desired_role != node.role


def _follow_spec(tx: WriteTx, node_id: str) -> str:
    """The role that it has then, in a word: who wrote the spec may have changed it meanwhile."""
    node = tx.nodes.copy(node_id)
    if _differs(node):
        nodes.set_role(node, node.spec.desired_role)
        tx.nodes.update(node)
    return api.NodeRole.Name(node.role).lower()
