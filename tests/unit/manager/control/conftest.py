"""A control API over a store in memory, with the objects that every cluster has."""

from collections.abc import AsyncIterator
from random import Random

import pytest

from swarmd import api
from swarmd.store import MemoryBackend, Store
from tests import builders
from tests.fakes.clock import FakeClock
from tests.unit.manager.control.calls import OnlyMember
from workers.manager.control.server import ControlServicer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[Store]:
    async with Store(MemoryBackend(), clock) as store:
        yield store


@pytest.fixture
async def cluster(store: Store) -> api.Cluster:
    """The cluster as stored, with keys that nobody may see."""
    root = api.RootCA(ca_cert=b"root", ca_key=b"root key", ca_cert_hash="sha256:00")
    root.join_tokens.worker, root.join_tokens.manager = "worker token", "manager token"
    keys = [api.EncryptionKey(subsystem="networking:gossip", key=b"gossip")]
    built = builders.cluster(root_ca=root, network_bootstrap_keys=keys, unlock_keys=keys)
    return await store.update(lambda tx: tx.clusters.create(built))


@pytest.fixture
async def manager(store: Store) -> api.Node:
    node = builders.node("m1", role=api.NodeRole.MANAGER)
    return await store.update(lambda tx: tx.nodes.create(node))


@pytest.fixture
def control(store: Store, clock: FakeClock, manager: api.Node) -> ControlServicer:
    """With one manager; a task is up to date if its image is its service's."""
    members = OnlyMember(manager.id)

    def is_dirty(service: api.Service, task: api.Task, node: api.Node | None) -> bool:
        return service.spec.task.container.image != task.spec.container.image

    return ControlServicer(store, clock, Random(0), members, is_dirty)
