"""What becomes of a backup's cluster on the one manager that goes on with it (pure).

    managers of then     are removed: their certificates count no more, their tasks are orphaned, so
                         that the orchestrators replace them
    this host            a new node, with the labels and the availability of the one that led
    nodes on their way   to manager stay workers
    everyone else        as it was: workers keep their certificates, and run what they run

The store's version goes far on: between the backup and the loss, versions were given that are not
known here, and none must mean two things to whoever saw them.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from swarmd import api
from swarmd.api import defaults, times
from swarmd.api.nodes import manager_node
from swarmd.errors import CorruptStateError
from swarmd.store.backend import Loaded, Row
from swarmd.store.rows import object_of

FURTHER: Final = 1_000_000_000
ORPHANED: Final = "Task belonged to a manager that was lost; the cluster was restored from a backup"


class Takeover(NamedTuple):
    """The store as it is to be, its cluster, and what became of the managers."""

    store: Loaded
    cluster: api.Cluster
    node: api.Node
    """This host's."""
    removed: list[api.Node]
    demoted: list[api.Node]
    """They were to become managers."""


def take_over(backed_up: Loaded, node_id: str, now: float, place: str) -> Takeover:
    """The store for a manager with that node id; raises CorruptStateError, naming the `place`."""
    objects = {(row.kind, row.id): object_of(row, place) for row in backed_up.rows}
    cluster = _cluster(objects, place)
    nodes = [one for one in objects.values() if isinstance(one, api.Node)]
    removed = [one for one in nodes if _was_manager(one)]
    version = max([backed_up.version, *(row.version for row in backed_up.rows)]) + FURTHER
    change = _Change(objects, version, now)
    own = change.put("node", _own_node(removed, node_id))
    demoted = [change.put("node", _as_worker(one)) for one in nodes if _was_to_become(one)]
    _remove(change, cluster, removed)
    rows = [row for row in backed_up.rows if (row.kind, row.id) not in change.rows]
    rows += [row for row in change.rows.values() if row.data is not None]
    cluster = objects["cluster", cluster.id]
    return Takeover(Loaded(version, rows), cluster, own, removed, demoted)


class _Change:
    """One transaction over all there is."""

    def __init__(self, objects: dict[tuple[str, str], Any], version: int, now: float) -> None:
        self.objects = objects
        self.rows: dict[tuple[str, str], Row] = {}
        self._version = version
        self._now = times.timestamp(now)

    def put(self, kind: str, one: Any) -> Any:
        if (kind, one.id) not in self.objects:
            one.meta.created_at.CopyFrom(self._now)
        one.meta.updated_at.CopyFrom(self._now)
        one.meta.version.index = self._version
        self.objects[kind, one.id] = one
        self.rows[kind, one.id] = Row(kind, one.id, self._version, one.SerializeToString())
        return one

    def delete(self, kind: str, object_id: str) -> None:
        del self.objects[kind, object_id]
        self.rows[kind, object_id] = Row(kind, object_id, self._version, None)

    def orphan(self, task: api.Task) -> None:
        own = api.Task()
        own.CopyFrom(task)
        state = api.TaskState.ORPHANED
        own.status.CopyFrom(api.TaskStatus(timestamp=self._now, state=state, message=ORPHANED))
        self.put("task", own)


def _remove(change: _Change, cluster: api.Cluster, nodes: list[api.Node]) -> None:
    """For ever: a manager of then has the root's key, and may certify itself anew."""
    own = api.Cluster()
    own.CopyFrom(cluster)
    gone = {one.id for one in nodes}
    for node_id in sorted(gone):
        own.blacklisted_certificates[node_id].Clear()
        change.delete("node", node_id)
    change.put("cluster", own)
    tasks = [one for one in change.objects.values() if isinstance(one, api.Task)]
    for task in tasks:
        if task.node_id in gone and task.status.state < api.TaskState.COMPLETE:
            change.orphan(task)


def _cluster(objects: Mapping[tuple[str, str], Any], place: str) -> api.Cluster:
    for one in objects.values():
        if isinstance(one, api.Cluster) and one.spec.annotations.name == defaults.CLUSTER_NAME:
            return one
    raise CorruptStateError(f"{place} holds no cluster")


def _was_manager(node: api.Node) -> bool:
    return node.role == api.NodeRole.MANAGER


def _was_to_become(node: api.Node) -> bool:
    return not _was_manager(node) and node.spec.desired_role == api.NodeRole.MANAGER


def _own_node(managers: list[api.Node], node_id: str) -> api.Node:
    own = manager_node(node_id)
    led = next((one for one in managers if one.manager_status.leader), None)
    led = led or next(iter(managers), None)
    if led is not None:
        own.spec.annotations.CopyFrom(led.spec.annotations)
        own.spec.availability = led.spec.availability
    return own


def _as_worker(node: api.Node) -> api.Node:
    own = api.Node()
    own.CopyFrom(node)
    own.spec.desired_role = api.NodeRole.WORKER
    return own
