"""A copy of the whole store, and back."""

import pytest

from swarmd import api
from swarmd.errors import InvalidArgumentError
from swarmd.store import MemoryBackend, Store, snapshot
from tests import builders
from tests.fakes.clock import FakeClock


async def filled(backend: MemoryBackend) -> api.Snapshot:
    async with Store(backend, FakeClock()) as store:
        service = await store.update(lambda tx: tx.services.create(builders.service()))
        await store.update(lambda tx: tx.tasks.create(builders.task(service)))
        return snapshot.take(store.view())


async def test_a_snapshot_put_back_is_the_same_store() -> None:
    taken = await filled(MemoryBackend())
    backend = MemoryBackend()
    await snapshot.put_back(backend, taken)
    async with Store(backend, FakeClock()) as store:
        assert taken == snapshot.take(store.view())


async def test_putting_back_removes_what_the_snapshot_does_not_have() -> None:
    taken = await filled(MemoryBackend())
    backend = MemoryBackend()
    await filled(backend)
    await snapshot.put_back(backend, taken)
    async with Store(backend, FakeClock()) as store:
        assert taken == snapshot.take(store.view())


async def test_versions_go_on_above_all_that_were_given() -> None:
    backend = MemoryBackend()
    taken = await filled(backend)
    await snapshot.put_back(backend, taken)
    assert 3 == backend.version
    empty = MemoryBackend()
    await snapshot.put_back(empty, taken)
    assert 3 == empty.version


async def test_a_snapshot_survives_as_bytes() -> None:
    async with Store(MemoryBackend(), FakeClock()) as store:
        await store.update(lambda tx: tx.nodes.create(builders.node()))
        data = snapshot.to_bytes(store.view())
        assert snapshot.take(store.view()) == snapshot.from_bytes(data)


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x08\x07"])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError):
        snapshot.from_bytes(data)
