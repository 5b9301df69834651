"""Node calls."""

import asyncio
from functools import partial
from typing import Final

from cryptography import x509

from swarmd import api
from swarmd.api import defaults, nodes, times
from swarmd.errors import FailedPreconditionError, NotFoundError
from swarmd.rpc.forward import FORCE
from swarmd.store import ReadTx, WriteTx, by
from workers.manager.control import filters
from workers.manager.control.clusters import forget_expired
from workers.manager.control.handlers import (
    Context,
    Handlers,
    UnsoundStateError,
    invalid_argument,
)

_REACHABLE: Final = api.RaftMemberStatus.Reachability.REACHABLE


class Nodes(Handlers):
    async def GetNode(self, request: api.GetNodeRequest, context: Context) -> api.GetNodeResponse:
        if not request.node_id:
            raise invalid_argument()
        node = self._store.view().nodes.get(request.node_id)
        if node is None:
            raise NotFoundError("node", request.node_id)
        answer = api.GetNodeResponse(node=node)
        self._show_manager(answer.node)
        return answer

    async def ListNodes(
        self, request: api.ListNodesRequest, context: Context
    ) -> api.ListNodesResponse:
        wanted = request.filters
        query = filters.first_given(
            (by.name, wanted.names),
            (by.name_prefix, wanted.name_prefixes),
            (by.id_prefix, wanted.id_prefixes),
            (by.role, wanted.roles),
            (by.membership, wanted.memberships),
        )
        found = self._store.view().nodes.find(query)
        answer = api.ListNodesResponse(nodes=[one for one in found if _selected(one, wanted)])
        for node in answer.nodes:
            self._show_manager(node)
        return answer

    async def UpdateNode(
        self, request: api.UpdateNodeRequest, context: Context
    ) -> api.UpdateNodeResponse:
        if not (request.node_id and request.HasField("node_version") and request.HasField("spec")):
            raise invalid_argument()
        role = request.spec.desired_role
        wanted = role == api.NodeRole.MANAGER
        alone = await asyncio.to_thread(self._members.refusal) if wanted else ""

        def update(tx: WriteTx) -> api.Node:
            node = tx.nodes.copy(request.node_id)
            stake = _check_role(tx, node, role, alone)
            if stake and FORCE not in (context.invocation_metadata() or ()):
                raise FailedPreconditionError(stake)
            node.meta.version.CopyFrom(request.node_version)
            node.spec.CopyFrom(request.spec)
            if stake:  # now, while it can be written: it leaves the quorum next
                nodes.set_role(node, api.NodeRole.WORKER)
            return tx.nodes.update(node)

        return api.UpdateNodeResponse(node=await self._store.update(update))

    async def RemoveNode(
        self, request: api.RemoveNodeRequest, context: Context
    ) -> api.RemoveNodeResponse:
        if not request.node_id:
            raise invalid_argument()

        def remove(tx: WriteTx) -> None:
            node = tx.nodes.copy(request.node_id)
            self._check_removable(node, force=request.force)
            _refuse_certificate(tx, node, self._clock.now())
            for task in _tasks_without_end(tx, node.id):
                orphan(tx, task.id)
            tx.nodes.delete(node.id)

        def orphan(tx: WriteTx, task_id: str) -> None:
            task = tx.tasks.copy(task_id)
            task.status.CopyFrom(orphaned)
            tx.tasks.update(task)

        view, orphaned = self._store.view(), _orphaned(self._clock.now())
        node = view.nodes.get(request.node_id)
        if node is not None:
            # Most of them first, a few at a time: all at once can be more than a transaction takes.
            self._check_removable(node, force=request.force)
            tasks = _tasks_without_end(view, node.id)
            await self._store.batch([partial(orphan, task_id=task.id) for task in tasks])
        await self._store.update(remove)
        return api.RemoveNodeResponse()

    def _show_manager(self, node: api.Node) -> None:
        status = self._members.status(node.id)
        if status is not None:
            node.manager_status.CopyFrom(status)

    def _check_removable(self, node: api.Node, *, force: bool) -> None:
        wants_manager = node.spec.desired_role == api.NodeRole.MANAGER
        if wants_manager and self._members.status(node.id) is not None:
            raise FailedPreconditionError(
                f"node {node.id} is a cluster manager and is a member of the raft cluster. "
                "It must be demoted to worker before removal"
            )
        if not force and node.status.state == api.NodeStatus.State.READY:
            raise FailedPreconditionError(f"node {node.id} is not down and can't be removed")


def _check_role(tx: WriteTx, node: api.Node, role: api.NodeRole.ValueType, alone: str) -> str:
    """The last manager stays one, and no role is promised in vain; `alone` says why one has to be.

    What is said of a demotion that would leave no quorum: who asked may force it.
    """
    if role == node.spec.desired_role:
        return ""
    if role == api.NodeRole.MANAGER:
        if reason := alone or _why_no_manager(node):
            raise FailedPreconditionError(f"node {node.id} cannot become a manager: {reason}")
        return ""
    left = [
        one
        for one in tx.nodes.find(by.role(api.NodeRole.MANAGER))
        if one.id != node.id and one.spec.desired_role == api.NodeRole.MANAGER
    ]
    if not left:
        raise FailedPreconditionError("attempting to demote the last manager of the swarm")
    alive = sum(one.manager_status.reachability == _REACHABLE for one in left)
    if alive > len(left) // 2:
        return ""
    return (
        f"cannot demote node {node.id}: of the {len(left)} managers that would be left only"
        f" {alive} can be reached, which is no quorum. Bring another one back first; or, with"
        " --force, have no call answered until it is back (tasks go on)"
    )


def _why_no_manager(node: api.Node) -> str:
    """Empty for one that can be a manager, and for one that has said nothing of itself yet."""
    if not nodes.is_described(node) or nodes.forms_quorum(node):
        return ""
    if nodes.is_of_another_kind(node):
        return (
            "it is of another kind, as Docker Engine's are, and those form no quorum with swarmd's."
            " Run swarmd on that host, and join it with the manager token"
        )
    return (
        "its host has no etcd of 3.4 or newer on PATH, or it was started with --store sqlite."
        " Install etcd there (Debian: apt install etcd-server), and try again in half a minute"
    )


def _refuse_certificate(tx: WriteTx, node: api.Node, now: float) -> None:
    """From here on the certificate that it still has opens nothing."""
    clusters = tx.clusters.find(by.name(defaults.CLUSTER_NAME))
    if len(clusters) != 1:
        raise UnsoundStateError("could not fetch cluster object")
    cluster = tx.clusters.copy(clusters[0].id)
    entry = cluster.blacklisted_certificates[node.id]
    entry.Clear()
    expiry = _expiry(node.certificate.certificate)
    if expiry is not None:
        entry.expiry.CopyFrom(times.timestamp(expiry))
    forget_expired(cluster, now)
    tx.clusters.update(cluster)


def _expiry(pem: bytes) -> float | None:
    """When the certificate ends; a node that never got a readable one is refused for ever."""
    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    except ValueError:
        return None


def _orphaned(now: float) -> api.TaskStatus:
    """Nobody will tell any more how they fare."""
    return api.TaskStatus(
        timestamp=times.timestamp(now),
        state=api.TaskState.ORPHANED,
        message="Task belonged to a node that has been deleted",
    )


def _tasks_without_end(tx: ReadTx, node_id: str) -> list[api.Task]:
    found = tx.tasks.find(by.node(node_id))
    return [task for task in found if task.status.state < api.TaskState.COMPLETE]


def _selected(node: api.Node, wanted: api.ListNodesRequest.Filters) -> bool:
    described = node.HasField("description")
    hostname, engine = node.description.hostname, node.description.engine
    named = not (wanted.names or wanted.name_prefixes) or described
    engined = not wanted.labels or node.description.HasField("engine")
    return (
        named
        and engined
        and filters.is_one_of(hostname, wanted.names)
        and filters.has_prefix(hostname, wanted.name_prefixes)
        and filters.has_prefix(node.id, wanted.id_prefixes)
        and filters.has_labels(engine.labels, wanted.labels)
        and filters.has_labels(node.spec.annotations.labels, wanted.node_labels)
        and filters.is_one_of(node.role, wanted.roles)
        and filters.is_one_of(node.spec.membership, wanted.memberships)
    )
