"""Network keys: two subsystems, a ring of three each, the oldest replaced every twelve hours."""

import asyncio
from random import Random

import pytest

from swarmd import api
from swarmd.errors import ResourceExhaustedError
from swarmd.store import MemoryBackend, Select, Store
from tests import builders
from tests.fakes.clock import FakeClock
from workers.manager.key_manager import (
    ROTATION_SECONDS,
    SUBSYSTEMS,
    KeyManager,
    first_keys,
    newest,
    rotate,
)


def rings(keys):
    return {one: [key for key in keys if key.subsystem == one] for one in SUBSYSTEMS}


def test_first_keys_are_three_of_sixteen_bytes_for_each_subsystem():
    keys = first_keys(Random(1))
    assert [3, 3] == [len(ring) for ring in rings(keys).values()]
    assert {16} == {len(key.key) for key in keys}
    assert {api.EncryptionKey.Algorithm.AES_128_GCM} == {key.algorithm for key in keys}


def test_lamport_times_differ_and_are_consecutive():
    times = [key.lamport_time for key in first_keys(Random(1))]
    assert list(range(times[0], times[0] + 6)) == times


def test_rotation_drops_the_oldest_of_each_ring_and_adds_a_newer_one():
    before = first_keys(Random(1))
    after = rotate(before, newest(before), Random(2))
    for subsystem in SUBSYSTEMS:
        old, new = rings(before)[subsystem], rings(after)[subsystem]
        assert old[1:] == new[:2]
        assert new[2].lamport_time > newest(before)


def test_a_short_ring_grows_back():
    before = first_keys(Random(1))[:1]
    assert 4 >= len(rotate(before, newest(before), Random(2)))
    again = rotate(rotate(before, 1, Random(2)), 3, Random(2))
    assert 3 == len(rings(again)[SUBSYSTEMS[0]])


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def store(clock):
    async with Store(MemoryBackend(), clock) as store:
        await store.update(lambda tx: tx.clusters.create(builders.cluster()))
        yield store


def keys(store):
    (cluster,) = store.view().clusters.find()
    assert newest(cluster.network_bootstrap_keys) == cluster.encryption_key_lamport_clock
    return list(cluster.network_bootstrap_keys)


async def test_a_cluster_without_keys_gets_them(store, clock):
    running = asyncio.create_task(KeyManager(store, clock, Random(1)).run())
    await clock.wait_sleepers()
    running.cancel()
    assert 6 == len(keys(store))


async def test_keys_that_are_there_stay_for_twelve_hours(store, clock):
    running = asyncio.create_task(KeyManager(store, clock, Random(1)).run())
    await clock.wait_sleepers()
    before = keys(store)
    clock.advance(seconds=ROTATION_SECONDS - 1)
    await asyncio.sleep(0)
    assert before == keys(store)
    async with store.watch(Select(api.Cluster)) as watcher:
        clock.advance(seconds=1)
        await watcher.next()
    running.cancel()
    assert before != keys(store)
    assert 6 == len(keys(store))


async def test_a_store_that_refuses_the_keys_is_asked_again_and_ends_nothing(clock):
    class FullAtFirst(MemoryBackend):
        async def commit(self, version, rows):
            if self.version == 1 and clock.monotonic() < 1:
                raise ResourceExhaustedError("the disk is full")
            await super().commit(version, rows)

    async with Store(FullAtFirst(), clock) as store:
        await store.update(lambda tx: tx.clusters.create(builders.cluster()))
        running = asyncio.create_task(KeyManager(store, clock, Random(1)).run())
        await clock.wait_sleepers()
        assert [] == keys(store)
        async with store.watch(Select(api.Cluster)) as watcher:
            clock.advance(seconds=1)
            await watcher.next()
        running.cancel()
        assert 6 == len(keys(store))
