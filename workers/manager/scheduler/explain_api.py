"""The Explain service: why a task has no node, or a node no tasks.

The picture that it asks is made for the call, in a thread: what is stored never changes, and with
many tasks it would hold up the loop. So it answers whether or not this manager leads.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from swarmd import api
from swarmd.api.protos.explain_pb2 import (
    ExplainNodeRequest,
    ExplainNodeResponse,
    ExplainServiceRequest,
    ExplainServiceResponse,
    ExplainTaskRequest,
    ExplainTaskResponse,
    Placement,
)
from swarmd.api.protos.explain_pb2_grpc import ExplainServicer
from swarmd.errors import InvalidArgumentError, NotFoundError
from swarmd.store import ReadTx, Store, by
from workers.manager.scheduler import verdicts
from workers.manager.scheduler.node_info import Kind, NodeInfo, is_wanted, kind_of
from workers.manager.scheduler.node_set import NodeSet
from workers.manager.scheduler.verdicts import Question

NODES: Final = 100
MOST_NODES: Final = 1_000
MOST_KINDS: Final = 10
MOST_SHARES: Final = 100
_PENDING: Final = api.TaskState.PENDING


@dataclass(frozen=True, slots=True)
class View:
    """What the store holds at one moment; made in its loop, read in a thread."""

    nodes: Sequence[api.Node]
    tasks: Sequence[api.Task]
    services: Sequence[api.Service]
    volumes: Sequence[api.Volume]

    @classmethod
    def of(cls, tx: ReadTx) -> Self:
        return cls(tx.nodes.find(), tx.tasks.find(), tx.services.find(), tx.volumes.find())

    def picture(self, besides: str = "") -> NodeSet:
        return verdicts.picture(self.nodes, self.tasks, self.volumes, besides)

    def name_of(self, service_id: str) -> str:
        names = (one.spec.annotations.name for one in self.services if one.id == service_id)
        return next(names, service_id or "no service")


class ExplainApi(ExplainServicer):
    """Answers from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def ExplainTask(self, request: ExplainTaskRequest, context: Any) -> ExplainTaskResponse:
        tx = self._store.view()
        task = _required(tx.tasks, "task", request.task_id)
        found = await asyncio.to_thread(of_task, View.of(tx), task, _most(request.max_nodes))
        return ExplainTaskResponse(placement=found, waits=_waits(task))

    async def ExplainService(
        self, request: ExplainServiceRequest, context: Any
    ) -> ExplainServiceResponse:
        tx = self._store.view()
        _required(tx.services, "service", request.service_id)
        mine = tx.tasks.find(by.service(request.service_id))
        most = _most(request.max_nodes)
        return await asyncio.to_thread(of_service, View.of(tx), mine, most)

    async def ExplainNode(self, request: ExplainNodeRequest, context: Any) -> ExplainNodeResponse:
        tx = self._store.view()
        node = _required(tx.nodes, "node", request.node_id)
        return await asyncio.to_thread(of_node, View.of(tx), node)


def of_task(view: View, task: api.Task, most: int) -> Placement:
    """The verdicts on all nodes; on its own alone, where it came with one."""
    return _placement(view, view.picture(besides=task.id), [task], most)


def of_service(view: View, mine: Sequence[api.Task], most: int) -> ExplainServiceResponse:
    """Its tasks counted, and the verdicts for each kind of them that waits."""
    counts = Counter((task.status.state, task.desired_state) for task in mine)
    reply = ExplainServiceResponse()
    for (state, desired_state), count in sorted(counts.items()):
        reply.counts.add(state=state, desired_state=desired_state, count=count)
    picture = view.picture()
    for group in _kinds(mine):
        reply.waiting.append(_placement(view, picture, group, most))
    return reply


def of_node(view: View, node: api.Node) -> ExplainNodeResponse:
    """What it has, who holds it, and what waits elsewhere that it could not take."""
    picture = view.picture()
    info = picture.get(node.id)
    assert info is not None, "the view has every node"
    offered = node.description.resources
    return ExplainNodeResponse(
        closed=verdicts.closed(node),
        nano_cpus=offered.nano_cpus,
        free_nano_cpus=info.free_cpus,
        memory_bytes=offered.memory_bytes,
        free_memory_bytes=info.free_memory,
        tasks=len(info.tasks),
        shares=_shares(view, info),
        host_ports=[verdicts.port_name(port) for port in sorted(info.ports)],
        waiting=[
            found
            for group in _kinds(one for one in view.tasks if one.node_id in ("", node.id))
            if not (found := _on(view, picture, group, [info], 1)).fitting_count
        ],
    )


def _placement(view: View, picture: NodeSet, group: Sequence[api.Task], most: int) -> Placement:
    candidates = list(picture)
    if group[0].node_id:  # a task of a global service has nowhere else to go
        candidates = [info for task in group if (info := picture.get(task.node_id))]
    return _on(view, picture, group, candidates, most)


def _on(
    view: View,
    picture: NodeSet,
    group: Sequence[api.Task],
    candidates: Sequence[NodeInfo],
    most: int,
) -> Placement:
    question = Question(group[0], picture.demand(group[0]), picture, view.name_of)
    found = verdicts.placement(question, candidates, most)
    found.alike = len(group)
    return found


def _kinds(found: Iterable[api.Task]) -> list[list[api.Task]]:
    """Those that wait, alike ones together, the largest groups first."""
    groups: defaultdict[Kind, list[api.Task]] = defaultdict(list)
    for task in filter(_waits, found):
        groups[kind_of(task)].append(task)
    return sorted(groups.values(), key=len, reverse=True)[:MOST_KINDS]


def _shares(view: View, info: NodeInfo) -> list[ExplainNodeResponse.Share]:
    found: dict[str, ExplainNodeResponse.Share] = {}
    for held in info.tasks.values():
        service_id = held.demand.kind.service_id
        share = found.setdefault(service_id, ExplainNodeResponse.Share(service_id=service_id))
        share.tasks += 1
        share.nano_cpus += held.demand.nano_cpus
        share.memory_bytes += held.demand.memory_bytes
    for share in found.values():
        share.service_name = view.name_of(share.service_id)
    ordered = sorted(found.values(), key=lambda share: (-share.tasks, share.service_name))
    return ordered[:MOST_SHARES]


def _waits(task: api.Task) -> bool:
    return task.status.state == _PENDING and is_wanted(task)


def _most(asked: int) -> int:
    return min(asked or NODES, MOST_NODES)


def _required(table: Any, kind: str, object_id: str) -> Any:
    if not object_id:
        raise InvalidArgumentError(f"{kind}_id must be given")
    found = table.get(object_id)
    if found is None:
        raise NotFoundError(kind, object_id)
    return found
