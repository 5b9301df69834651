"""One data key follows on another under managers that write and follow, on a real quorum."""

import asyncio
import random
from pathlib import Path

import pytest

from swarmd import api
from swarmd.clock import SystemClock
from swarmd.security.encryption import Sealer, key_id
from swarmd.store import Deleted, Select, Store, Updated
from swarmd.store.etcd import EtcdBackend, EtcdClient, EtcdLease, keys
from swarmd.store.etcd.key_record import KeyRecord
from tests.etcd import Member, Quorum
from tests.integration.etcd.test_backend import create, following, names, relabel, wait_for

# ruff: noqa: SIM117  one manager's block lies in the other's
pytestmark = pytest.mark.timeout(120)
OLD, NEW = b"k" * 32, b"n" * 32
FIRST = KeyRecord((key_id(OLD),), key_id(OLD), exposed=True)


def store_with(member: Member, *held: bytes) -> tuple[Store, EtcdBackend]:
    clock, chance = SystemClock(), random.Random(0)
    client = EtcdClient(member.socket)
    lease = EtcdLease(client, member.name, 2, clock, chance)
    sealer = Sealer(held[-1], Path("the key's file"), held[:-1])
    backend = EtcdBackend(client, lease, sealer, clock, chance)
    return Store(backend, clock), backend


async def reseal_all(backend: EtcdBackend) -> int:
    found, start = 0, keys.OBJECTS
    while start:
        start, count = await backend.keys.reseal_some(start)
        found += count
    return found


async def test_values_are_sealed_anew_while_others_write_and_follow(quorum: Quorum):
    store, backend = store_with(quorum.members[0], OLD, NEW)
    other, others = store_with(quorum.members[1], OLD, NEW)
    async with store, other:
        async with store.lead():
            await backend.keys.read()
            await backend.keys.write(FIRST)
            backend.keys.align()
            await store.batch([create(f"n{number}") for number in range(250)])
            async with following(other), other.watch(Select(api.Config)) as watcher:
                await wait_for(other, store.version)
                await backend.keys.write(FIRST.with_next(key_id(NEW)).switched())
                backend.keys.align()
                changes = [relabel(f"n{number}", "1") for number in range(20)]
                writing = asyncio.gather(*map(store.update, changes))
                await reseal_all(backend)
                await writing
                while await reseal_all(backend):
                    pass
                await backend.keys.write(backend.keys.record.settled())
                async with asyncio.timeout(20):
                    while others.keys.record != backend.keys.record:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                await wait_for(other, store.version)
                seen = [event async for events in drained(watcher) for event in events]
            changed = [event for event in seen if isinstance(event, Updated | Deleted)]
            assert 20 == len(changed)
            assert names(store) == names(other)
    after, _ = store_with(quorum.members[2], NEW)
    async with after:
        assert names(store) == names(after)


async def drained(watcher):
    while True:
        try:
            async with asyncio.timeout(0.3):
                yield await watcher.next()
        except TimeoutError:
            return


async def test_a_new_leader_seals_as_the_record_says(quorum: Quorum):
    one, first = store_with(quorum.members[0], OLD, NEW)
    two, second = store_with(quorum.members[1], OLD, NEW)
    async with one, two:
        async with one.lead():
            await first.keys.read()
            await first.keys.write(FIRST.with_next(key_id(NEW)))
        async with two.lead():
            assert second.keys.sealer.seals_under(key_id(OLD))
            await second.keys.write(FIRST.with_next(key_id(NEW)).switched())
            with pytest.raises(Exception, match="another leader"):
                await first.keys.write(FIRST)
        async with one.lead():
            assert first.keys.sealer.seals_under(key_id(NEW))
            await one.update(create("a"))
    reader, _ = store_with(quorum.members[2], NEW)
    async with reader:
        assert ["a"] == names(reader)
