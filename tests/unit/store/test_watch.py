"""What watchers hear: all they chose, in order, after it is durable; or that they lost it."""

import asyncio
from collections.abc import Callable

import pytest

from swarmd import api
from swarmd.errors import Status, SwarmError, UnavailableError
from swarmd.store import (
    Committed,
    Created,
    Deleted,
    Event,
    MemoryBackend,
    Select,
    Store,
    Updated,
    WatchOverflowError,
    WriteTx,
    watch,
)
from tests import builders
from tests.fakes.clock import FakeClock
from tests.unit.store.backends import FailingBackend, GatedBackend


def create(task: api.Task) -> Callable[[WriteTx], api.Task]:
    return lambda tx: tx.tasks.create(task)


def touch(task_id: str) -> Callable[[WriteTx], api.Task]:
    return lambda tx: tx.tasks.update(tx.tasks.copy(task_id))


def delete(task_id: str) -> Callable[[WriteTx], None]:
    return lambda tx: tx.tasks.delete(task_id)


async def make(store: Store) -> api.Task:
    return await store.update(create(builders.task()))


async def test_a_watcher_hears_creation_update_and_deletion_in_order(store: Store) -> None:
    async with store.watch(Select(api.Task)) as watcher:
        old = await make(store)
        new = await store.update(touch(old.id))
        await store.update(delete(old.id))
        assert [
            Created(old),
            Committed(1),
            Updated(new, old),
            Committed(2),
            Deleted(new),
            Committed(3),
        ] == await watcher.next()


async def test_one_transaction_is_closed_by_one_commit(store: Store) -> None:
    tasks = [builders.task() for _ in range(3)]
    async with store.watch(Select(api.Task)) as watcher:
        await store.batch([create(task) for task in tasks])
        assert [*map(Created, tasks), Committed(1)] == await watcher.next()


async def test_next_waits_for_an_event(store: Store) -> None:
    async with store.watch(Select(api.Task)) as watcher:
        waiting = asyncio.create_task(watcher.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        task = await make(store)
        assert [Created(task), Committed(1)] == await waiting


async def test_a_watcher_hears_only_the_kinds_it_selects(store: Store) -> None:
    async with store.watch(Select(api.Node), Select(api.Service)) as watcher:
        await make(store)
        node = await store.update(lambda tx: tx.nodes.create(builders.node()))
        assert [Created(node), Committed(2)] == await watcher.next()


async def test_a_watcher_hears_only_the_actions_it_selects(store: Store) -> None:
    async with store.watch(Select(api.Task, actions={Deleted})) as watcher:
        task = await make(store)
        await store.update(delete(task.id))
        assert [Deleted(task), Committed(2)] == await watcher.next()


async def test_a_watcher_hears_only_what_its_filter_lets_through(store: Store) -> None:
    mine = Select(api.Task, where=lambda event: event.object.node_id == "n1")
    async with store.watch(mine) as watcher:
        await make(store)
        task = await store.update(create(builders.task(node_id="n1")))
        assert [Created(task), Committed(2)] == await watcher.next()


async def test_two_selects_that_match_give_one_event(store: Store) -> None:
    async with store.watch(Select(api.Task), Select(api.Task, actions={Created})) as watcher:
        task = await make(store)
        assert [Created(task), Committed(1)] == await watcher.next()


async def test_select_committed_hears_every_commit(store: Store) -> None:
    async with store.watch(Select(Committed)) as watcher:
        await make(store)
        await make(store)
        assert [Committed(1), Committed(2)] == await watcher.next()


async def test_view_then_watch_loses_nothing_and_repeats_nothing(clock: FakeClock) -> None:
    backend = GatedBackend()
    backend.open.set()
    async with Store(backend, clock) as store:
        tasks = [builders.task() for _ in range(300)]
        writing = asyncio.create_task(store.batch([create(task) for task in tasks]))
        async with store.watch(Select(Committed)) as commits:
            await commits.next()
        seen = [task.id for task in store.view().tasks.find()]
        async with store.watch(Select(api.Task)) as watcher:
            await writing
            heard = [one.object.id for one in await watcher.next() if isinstance(one, Created)]
        assert [task.id for task in tasks] == seen + heard
        assert heard


async def test_nothing_is_heard_before_it_is_durable(clock: FakeClock) -> None:
    backend = GatedBackend()
    async with Store(backend, clock) as store, store.watch(Select(api.Task)) as watcher:
        hearing = asyncio.create_task(watcher.next())
        writing = asyncio.create_task(make(store))
        await backend.waits.wait()
        await asyncio.sleep(0)
        assert not hearing.done()
        backend.open.set()
        await writing
        assert 2 == len(await hearing)


async def test_what_the_backend_refused_is_not_heard(clock: FakeClock) -> None:
    backend = FailingBackend()
    async with Store(backend, clock) as store, store.watch(Select(api.Task)) as watcher:
        backend.failing = True
        with pytest.raises(UnavailableError):
            await make(store)
        backend.failing = False
        task = await make(store)
        assert [Created(task), Committed(1)] == await watcher.next()


async def test_an_overrun_watcher_is_told_once_and_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "QUEUE_EVENTS", 10)
    async with store.watch(Select(api.Task)) as watcher:
        for _ in range(10):
            await make(store)
        with pytest.raises(WatchOverflowError):
            await watcher.next()
        assert 10 == len(store.view().tasks)
        task = await make(store)
        assert [Created(task), Committed(11)] == await watcher.next()


async def test_a_watcher_that_has_left_queues_nothing(store: Store) -> None:
    async with store.watch(Select(api.Task)) as watcher:
        pass
    await make(store)
    assert [] == watcher._events


async def test_a_broken_filter_reaches_its_watcher_alone(store: Store) -> None:
    broken = Select(api.Task, where=lambda event: event.object.no_such_field)
    async with store.watch(broken) as bad, store.watch(Select(api.Task)) as good:
        await make(store)
        assert 2 == len(await good.next())
        with pytest.raises(AttributeError):
            await bad.next()


async def test_closing_the_store_ends_who_waits() -> None:
    store = Store(MemoryBackend(), FakeClock())
    async with store:
        watcher = store.watch(Select(api.Task))
        await watcher.__aenter__()
        waiting = asyncio.create_task(watcher.next())
        await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="closed"):
        await waiting
    with pytest.raises(UnavailableError, match="closed"):
        await watcher.next()


async def test_events_come_as_an_async_iterator(store: Store) -> None:
    async with store.watch(Select(api.Task)) as watcher:
        await make(store)
        async for events in watcher:
            assert 2 == len(events)
            break


async def heard(store: Store, version: int) -> list[Event]:
    async with store.watch(Select(api.Task), resume_from=version) as watcher:
        await make(store)
        return await watcher.next()


async def test_resume_gives_what_came_after_that_version(store: Store) -> None:
    first, second, third = [await make(store) for _ in range(3)]
    assert [
        Created(second),
        Committed(2),
        Created(third),
        Committed(3),
    ] == (await heard(store, first.meta.version.index))[:4]


async def test_resume_from_zero_gives_all_of_a_young_store(store: Store) -> None:
    await make(store)
    assert 4 == len(await heard(store, 0))


async def test_resume_from_now_gives_only_what_comes(store: Store) -> None:
    await make(store)
    assert [Committed(2)] == (await heard(store, store.version))[1:]


async def test_resume_from_the_future_is_out_of_order(store: Store) -> None:
    with pytest.raises(SwarmError, match=r"^versions are out of order$") as raised:
        store.watch(Select(api.Task), resume_from=10**9)
    assert Status.UNKNOWN == raised.value.status


@pytest.mark.parametrize("bound", ["HISTORY_CHANGES", "HISTORY_BYTES"])
async def test_resume_from_what_is_no_longer_kept_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    size = {"HISTORY_CHANGES": 3, "HISTORY_BYTES": 3 * 140}[bound]
    monkeypatch.setattr(watch, bound, size)
    for _ in range(6):
        await make(store)
    assert 4 <= len(await heard(store, 4))
    with pytest.raises(SwarmError, match="since version 1 are no longer kept"):
        await heard(store, 1)


async def test_a_restart_forgets_the_past_but_not_the_present(clock: FakeClock) -> None:
    backend = MemoryBackend()
    async with Store(backend, clock) as store:
        await make(store)
        await make(store)
    async with Store(backend, clock) as store:
        with pytest.raises(SwarmError, match="no longer kept"):
            store.watch(Select(api.Task), resume_from=1)
        assert 2 == len(await heard(store, 2))
