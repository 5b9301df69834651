"""A cluster in a store, and the CA's services on it."""

import asyncio
from random import Random

import pytest

from swarmd.config import NodeConfig
from swarmd.security.root_ca import RootCA
from swarmd.store import MemoryBackend, Store
from tests.fakes.clock import FakeClock
from workers.manager.bootstrap import first_cluster
from workers.manager.ca.server import CAServer
from workers.manager.ca.signer import Signer


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def store(clock):
    async with Store(MemoryBackend(), clock) as store:
        cluster = first_cluster(RootCA.create(clock.now()), NodeConfig(hostname="h"), Random(1))
        await store.update(lambda tx: tx.clusters.create(cluster))
        yield store


@pytest.fixture
def signer(store, clock):
    return Signer(store, clock, Random(2))


@pytest.fixture
async def ca(store, signer):
    """The services, with the signer at work."""
    running = asyncio.create_task(signer.run())
    yield CAServer(store, signer, Random(3))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def idle(store, signer):
    """The services, on a manager that does not sign."""
    return CAServer(store, signer, Random(3))
