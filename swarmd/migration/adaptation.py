"""What a swarm's objects become on a single manager of ours (pure), and what is to be said of it.

this manager's node    as it was, with its labels; its containers ended with its engine, so that
                       its tasks are orphaned, and replaced
other managers         removed, as SwarmKit's own cannot share a store with ours: their
                       certificates count no more, their tasks are replaced
workers, their tasks   as they were: they keep their certificates, and run what they run
everything else        as it was; what has no meaning here is named
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from swarmd import api
from swarmd.api import defaults, times
from swarmd.errors import CorruptStateError
from swarmd.migration.found import Remark

_ORPHANED: Final = "the manager that it ran on was replaced: its swarm was imported"
_PREDEFINED: Final = "com.docker.swarm.predefined"
_INGRESS: Final = api.PortConfig.PublishMode.INGRESS


class Adapted(NamedTuple):
    """The store as it is to be."""

    store: api.StoreSnapshot
    cluster: api.Cluster
    remarks: list[Remark]


def adapt(found: api.StoreSnapshot, own_id: str, place: str, now: float) -> Adapted:
    """For the manager with that node id; raises CorruptStateError, naming the `place`."""
    store = api.StoreSnapshot()
    store.CopyFrom(found)
    cluster = _cluster(store, place)
    if own_id not in {node.id for node in store.nodes}:
        raise CorruptStateError(f"{place} has no node {own_id}, whose certificate this is")
    managers = [node for node in store.nodes if _is_manager(node) and node.id != own_id]
    gone = {node.id for node in managers}
    counts = _orphan(store, {own_id, *gone}, now)
    remarks = [*_of_own(counts.get(own_id, 0)), *_of_managers(managers, counts)]
    for node_id in sorted(gone):
        cluster.blacklisted_certificates[node_id].Clear()
    kept = [node for node in store.nodes if node.id not in gone]
    del store.nodes[:]
    store.nodes.extend(kept)
    for node in store.nodes:
        if node.id != own_id and node.spec.desired_role == api.NodeRole.MANAGER:
            node.spec.desired_role = api.NodeRole.WORKER
            remarks.append(Remark(_node(node), "was to become a manager: stays a worker"))
    remarks += [*_of_cluster(cluster), *_of_networks(store), *_of_services(store)]
    remarks += _of_volumes(store)
    return Adapted(store, cluster, remarks)


def _cluster(store: api.StoreSnapshot, place: str) -> api.Cluster:
    for one in store.clusters:
        if one.spec.annotations.name == defaults.CLUSTER_NAME:
            return one
    raise CorruptStateError(f"{place} holds no cluster")


def _is_manager(node: api.Node) -> bool:
    return node.role == api.NodeRole.MANAGER


def _orphan(store: api.StoreSnapshot, node_ids: set[str], now: float) -> dict[str, int]:
    """End the tasks of these nodes; how many of each that was."""
    counts: dict[str, int] = {}
    ended = api.TaskStatus(
        timestamp=times.timestamp(now), state=api.TaskState.ORPHANED, message=_ORPHANED
    )
    for task in store.tasks:
        if task.node_id in node_ids and task.status.state < api.TaskState.COMPLETE:
            counts[task.node_id] = counts.get(task.node_id, 0) + 1
            task.status.CopyFrom(ended)
            task.desired_state = max(task.desired_state, api.TaskState.SHUTDOWN)
    return counts


def _of_own(tasks: int) -> Iterator[Remark]:
    if tasks:
        yield Remark(
            "this host",
            f"{_tasks(tasks)} ended with its Docker engine: replaced, here or elsewhere",
        )


def _of_managers(nodes: Iterable[api.Node], counts: dict[str, int]) -> Iterator[Remark]:
    for node in nodes:
        labels = ", ".join(f"{k}={v}" for k, v in sorted(node.spec.annotations.labels.items()))
        yield Remark(
            _node(node),
            f"was a manager too, and is removed ({_tasks(counts.get(node.id, 0))} replaced"
            + (f"; labels {labels}" if labels else "")
            + "): `docker swarm leave --force` there, then join as a worker",
        )


def _of_cluster(cluster: api.Cluster) -> Iterator[Remark]:
    if not cluster.root_ca.ca_key and not cluster.spec.ca_config.external_cas:
        yield Remark("root CA", "its key is not there: no node can join or renew its certificate")
    if cluster.spec.ca_config.external_cas:
        yield Remark("root CA", "an external CA signs: this host has to reach it")
    if cluster.fips:
        yield Remark("FIPS mode", "is not demanded here")
    if cluster.spec.encryption_config.auto_lock_managers:
        yield Remark(
            "autolock", "stays on, with the same unlock key: `swarmd unlock` after a start"
        )
    if cluster.defaultAddressPool:
        yield Remark("address pools", "have no meaning here: there are no overlay networks")


def _of_networks(store: api.StoreSnapshot) -> Iterator[Remark]:
    for network in store.networks:
        labels = network.spec.annotations.labels
        if network.spec.ingress or labels.get(_PREDEFINED) == "true":
            continue
        driver = network.spec.driver_config.name or network.driver_state.name or "overlay"
        yield Remark(
            f"network {network.spec.annotations.name} ({driver})",
            "is kept for the tasks that are on it; no new task gets a place on it",
        )


def _of_services(store: api.StoreSnapshot) -> Iterator[Remark]:
    names = {one.id: one.spec.annotations.name for one in store.networks}
    for service in store.services:
        about = f"service {service.spec.annotations.name}"
        attached = service.spec.task.networks or service.spec.networks
        if attached:
            on = ", ".join(names.get(one.target, one.target) for one in attached)
            yield Remark(
                about,
                f"runs as it does; a new task waits, as there are no networks here ({on}) and no"
                " virtual IPs",
            )
        mesh = [p.published_port for p in service.endpoint.ports if p.publish_mode == _INGRESS]
        if mesh:
            ports = ", ".join(map(str, sorted(mesh)))
            yield Remark(about, f"no routing mesh for new tasks: publish {ports} with mode=host")
        if service.spec.task.WhichOneof("runtime") == "generic":
            kind = service.spec.task.generic.kind or "generic"
            yield Remark(about, f"is of the runtime {kind}, which Docker's workers alone run")


def _of_volumes(store: api.StoreSnapshot) -> Iterator[Remark]:
    for volume in store.volumes:
        name, driver = volume.spec.annotations.name, volume.spec.driver.name
        yield Remark(f"volume {name}", f"needs its plugin: --csi-plugin {driver}=SOCKET")


def _node(node: api.Node) -> str:
    return f"node {node.id} ({node.description.hostname or 'no name'})"


def _tasks(count: int) -> str:
    return f"{count} task" if count == 1 else f"{count} tasks"
