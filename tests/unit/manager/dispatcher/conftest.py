"""Every test of this folder has its own store and dispatcher."""

from collections.abc import AsyncIterator

import pytest

from swarmd.store import MemoryBackend, Store
from tests import builders
from tests.fakes.clock import FakeClock
from tests.unit.manager.dispatcher.agents import Cluster


@pytest.fixture
async def idle() -> AsyncIterator[Cluster]:
    clock = FakeClock()
    async with Store(MemoryBackend(), clock) as store:
        cluster = Cluster(store, clock)
        await cluster.create("clusters", builders.cluster())
        yield cluster
        await cluster.stop()


@pytest.fixture
async def cluster(idle: Cluster) -> Cluster:
    await idle.start()
    return idle
