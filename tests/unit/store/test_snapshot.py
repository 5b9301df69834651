"""A whole store from elsewhere, put into an empty backend."""

from swarmd import api
from swarmd.store import MemoryBackend, Store
from swarmd.store.snapshot import put_in
from tests import builders, stored
from tests.fakes.clock import FakeClock


async def filled() -> api.StoreSnapshot:
    async with Store(MemoryBackend(), FakeClock()) as store:
        service = await store.update(lambda tx: tx.services.create(builders.service()))
        await store.update(lambda tx: tx.tasks.create(builders.task(service)))
        return stored.whole(store)


async def test_what_is_put_in_is_what_the_store_has() -> None:
    objects, backend = await filled(), MemoryBackend()
    await put_in(backend, objects)
    async with Store(backend, FakeClock()) as store:
        assert objects == stored.whole(store)


async def test_versions_go_on_above_all_that_were_given() -> None:
    backend = MemoryBackend()
    await put_in(backend, await filled())
    assert 3 == backend.version
