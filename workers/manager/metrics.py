"""What a manager tells Prometheus: SwarmKit's gauges of the cluster, and those of the process."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import make_wsgi_app
from prometheus_client.registry import Collector

from swarmd import api
from swarmd.store import Store

_KINDS: Final = ("services", "networks", "secrets", "configs")


def metrics_app(store: Store, loop: asyncio.AbstractEventLoop) -> Any:
    """A WSGI application with the metrics of this process and of the store."""
    registry = CollectorRegistry()
    for make in (ProcessCollector, PlatformCollector, GCCollector):
        make(registry=registry)
    registry.register(StoreCollector(store, loop))
    return make_wsgi_app(registry)


class StoreCollector(Collector):
    """SwarmKit's gauges of what the cluster holds."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._loop = loop

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the registry need not ask the store at registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Asked in a thread; the store is read in its own loop."""
        future = asyncio.run_coroutine_threadsafe(self._count(), self._loop)
        yield from future.result(timeout=10)

    async def _count(self) -> list[Metric]:
        tx = self._store.view()
        found: list[Metric] = []
        for kind in _KINDS:
            count = len(getattr(tx, kind))
            found.append(GaugeMetricFamily(f"swarm_manager_{kind}_total", f"{kind}", count))
        states = GaugeMetricFamily("swarm_manager_tasks_total", "tasks by state", labels=["state"])
        _by_state(states, api.TaskState, (one.status.state for one in tx.tasks.find()))
        nodes = GaugeMetricFamily("swarm_manager_nodes", "nodes by state", labels=["state"])
        _by_state(nodes, api.NodeStatus.State, (one.status.state for one in tx.nodes.find()))
        version = GaugeMetricFamily("swarm_store_version", "last transaction", self._store.version)
        leader = GaugeMetricFamily("swarm_manager_leader", "whether this manager leads", 1)
        return [*found, states, nodes, version, leader, *self._room()]

    def _room(self) -> Iterator[Metric]:
        """Where it has an end."""
        room = self._store.room
        if room.quota:
            yield GaugeMetricFamily("swarm_store_quota_bytes", "etcd's quota", room.quota)
            yield GaugeMetricFamily("swarm_store_used_bytes", "of the quota", room.used)
            told = "0: ample; 1: what users keep must not grow; 2: no new tasks either"
            yield GaugeMetricFamily("swarm_store_full", told, room.level)


def _by_state(family: GaugeMetricFamily, names: Any, values: Iterable[int]) -> None:
    counts = dict.fromkeys(names.values(), 0)
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    for value, count in counts.items():
        family.add_metric([names.Name(value).lower()], count)
