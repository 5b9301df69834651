"""Network attachments' API: a node asks for a place on a network for a container of its own.

The attachment is a task without a service, bound to that node from the first; the allocator gives
it its address, and the node that asked takes it back.
"""

from random import Random
from typing import Any

from swarmd import api, ids
from swarmd.api import times
from swarmd.api.protos import resource_pb2_grpc
from swarmd.clock import Clock
from swarmd.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from swarmd.rpc.authorize import caller
from swarmd.store import ReadTx, Store, WriteTx, by


class Attachments(resource_pb2_grpc.ResourceAllocatorServicer):
    """Serves ResourceAllocator; codes and sentences are SwarmKit's."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random

    async def AttachNetwork(
        self, request: api.AttachNetworkRequest, context: Any
    ) -> api.AttachNetworkResponse:
        """Raises NotFoundError, and PermissionDeniedError for a network that services alone use."""
        if not request.config.target:
            raise InvalidArgumentError("invalid argument: config.target names no network")
        node_id, now = caller(context).node_id, self._clock.now()

        def attach(tx: WriteTx) -> api.Task:
            network = _network(tx, request.config.target)
            task = _attachment(request, network, node_id, now)
            task.id = ids.new_id(self._random)
            return tx.tasks.create(task)

        task = await self._store.update(attach)
        return api.AttachNetworkResponse(attachment_id=task.id)

    async def DetachNetwork(
        self, request: api.DetachNetworkRequest, context: Any
    ) -> api.DetachNetworkResponse:
        """Raises NotFoundError, and PermissionDeniedError for one of another node."""
        if not request.attachment_id:
            raise InvalidArgumentError("invalid argument")
        node_id = caller(context).node_id

        def detach(tx: WriteTx) -> None:
            task = tx.tasks.get(request.attachment_id)
            if task is None or not task.spec.HasField("attachment"):
                raise NotFoundError("attachment", request.attachment_id)
            if task.node_id != node_id:
                raise PermissionDeniedError(f"attachment {task.id} doesn't belong to this node")
            tx.tasks.delete(task.id)

        await self._store.update(detach)
        return api.DetachNetworkResponse()


def _network(tx: ReadTx, wanted: str) -> api.Network:
    """By id, else by name; one that may be attached to by hand."""
    named = tx.networks.find(by.name(wanted))
    network = tx.networks.get(wanted) or (named[0] if len(named) == 1 else None)
    if network is None:
        raise NotFoundError("network", wanted)
    if not network.spec.attachable:
        raise PermissionDeniedError(f"network {wanted} not manually attachable")
    return network


def _attachment(
    request: api.AttachNetworkRequest, network: api.Network, node_id: str, now: float
) -> api.Task:
    task = api.Task(node_id=node_id, desired_state=api.TaskState.RUNNING)
    task.spec.attachment.container_id = request.container_id
    task.spec.networks.add(target=network.id, addresses=request.config.addresses)
    task.status.state = api.TaskState.NEW
    task.status.timestamp.CopyFrom(times.timestamp(now))
    task.status.message = "created"
    return task
