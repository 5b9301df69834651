"""The key file follows the cluster, and a kill at any step leaves what the next start finishes."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from swarmd import api
from swarmd.config import NodeConfig
from swarmd.errors import UnavailableError
from swarmd.security import data_key, key_file, unlock_key
from swarmd.security.identity import MANAGER
from swarmd.state_dir import StateDir
from swarmd.store import SqliteBackend, Store
from tests import stored
from tests.fakes.clock import FakeClock
from workers.manager.autolock import Autolock
from workers.manager.bootstrap import bootstrap
from workers.manager.sealed_store import open_backend

KEY, OTHER = b"k" * 32, b"o" * 32
CONFIG = NodeConfig(hostname="h")


class Killed(BaseException):
    """The process dies here."""


class Manager:
    """A manager's store and its key file, as one process after the other has them."""

    def __init__(self, directory: Path) -> None:
        self.state_dir = StateDir(directory)
        self.state_dir.make()
        self.path = self.state_dir.node_key
        self.clock = FakeClock()
        self.told: list[bytes] = []
        self.exposed = asyncio.Event()

    def keeper(self, store: Store, backend: SqliteBackend) -> Autolock:
        return Autolock(
            store,
            self.path,
            reseal=backend.reseal,
            changed=self.told.append,
            exposed=self.exposed.set,
            clock=self.clock,
            random=Random(1),
        )

    async def settle(self, key: bytes | None = None, reseal=None) -> api.StoreSnapshot:
        """One life of the process: it may change the cluster's key, and follows it."""
        backend = await open_backend(self.state_dir)
        async with Store(backend, self.clock) as store:
            await bootstrap(store, self.state_dir, CONFIG, self.clock, Random(1))
            if key is not None:
                await store.update(lambda tx: _set_key(tx, key))
            keeper = self.keeper(store, backend)
            keeper._reseal = reseal or keeper._reseal
            await keeper.settle()
            return stored.whole(store)


def _set_key(tx, key: bytes) -> None:
    cluster = tx.clusters.copy(tx.clusters.find()[0].id)
    cluster.spec.encryption_config.auto_lock_managers = bool(key)
    del cluster.unlock_keys[:]
    if key:
        cluster.unlock_keys.add(subsystem=MANAGER, key=key)
    tx.clusters.update(cluster)


@pytest.fixture
def manager(tmp_path):
    return Manager(tmp_path)


async def test_locking_seals_the_file_and_the_store_under_keys_that_were_never_open(manager):
    await manager.settle()
    before = data_key.open_data_keys(manager.path)
    whole = await manager.settle(KEY)
    assert key_file.is_sealed(manager.path)
    assert [KEY] == manager.told
    assert manager.exposed.is_set()
    after = data_key.open_data_keys(manager.path)
    assert after.current != before.current
    assert not after.pending
    assert whole.clusters == (await manager.settle()).clusters
    unlock_key.remember(manager.path, OTHER)
    with pytest.raises(key_file.LockedError):
        await open_backend(manager.state_dir)


async def test_nothing_is_told_where_nothing_changes(manager):
    await manager.settle()
    await manager.settle(KEY)
    before = manager.path.read_bytes()
    await manager.settle()
    assert ([KEY], before) == (manager.told, manager.path.read_bytes())


async def test_another_key_leaves_the_store_as_it_is(manager):
    await manager.settle(KEY)
    keys = data_key.open_data_keys(manager.path)
    await manager.settle(OTHER)
    assert ([KEY, OTHER], keys) == (manager.told, data_key.open_data_keys(manager.path))
    await manager.settle(b"")
    assert not key_file.is_sealed(manager.path)
    assert [KEY, OTHER, b""] == manager.told


async def test_a_kill_before_the_store_is_sealed_anew_is_made_up_for(manager):
    async def kill(_: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        await manager.settle(KEY, reseal=kill)
    pending = data_key.open_data_keys(manager.path).pending
    assert pending
    await manager.settle()
    assert data_key.DataKeys(pending) == data_key.open_data_keys(manager.path)


async def test_a_kill_after_the_store_is_sealed_anew_is_made_up_for(manager, monkeypatch):
    def kill(_: object) -> None:
        raise Killed

    monkeypatch.setattr(data_key, "finish", kill)
    with pytest.raises(Killed):
        await manager.settle(KEY)
    monkeypatch.undo()
    pending = data_key.open_data_keys(manager.path).pending
    await manager.settle()
    assert data_key.DataKeys(pending) == data_key.open_data_keys(manager.path)


async def test_a_full_disk_is_tried_again(manager):
    backend = await open_backend(manager.state_dir)
    async with Store(backend, manager.clock) as store:
        await bootstrap(store, manager.state_dir, CONFIG, manager.clock, Random(1))
        await store.update(lambda tx: _set_key(tx, KEY))
        keeper = manager.keeper(store, backend)
        failures = iter([UnavailableError("the disk is full")])

        async def reseal(sealer) -> None:
            for error in failures:
                raise error
            await backend.reseal(sealer)

        keeper._reseal = reseal
        running = asyncio.create_task(keeper.run())
        await manager.clock.wait_sleepers()
        assert not manager.exposed.is_set()
        manager.clock.advance(seconds=60.0)
        async with asyncio.timeout(10):
            await manager.exposed.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_lost_key_file_is_told_with_both_names(manager):
    await manager.settle()
    manager.path.unlink()
    with pytest.raises(Exception, match=r"swarm\.db was sealed with another data key .*node\.key"):
        await manager.settle()
