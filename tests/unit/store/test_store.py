"""The store's contract: on every backend a change is durable, then visible, whole or not at all."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from swarmd import api
from swarmd.api import times
from swarmd.errors import (
    NameConflictError,
    NotFoundError,
    NotLeaderError,
    ResourceExhaustedError,
    SwarmError,
    UnavailableError,
)
from swarmd.store import Backend, MemoryBackend, Store, WriteTx, by
from tests import builders
from tests.fakes.clock import FakeClock
from tests.unit.store.backends import FailingBackend, GatedBackend, LosableLease


def create(task: api.Task) -> Callable[[WriteTx], api.Task]:
    return lambda tx: tx.tasks.create(task)


def run(task_id: str) -> Callable[[WriteTx], api.Task]:
    def change(tx: WriteTx) -> api.Task:
        task = tx.tasks.copy(task_id)
        task.status.state = api.TaskState.RUNNING
        return tx.tasks.update(task)

    return change


async def test_what_was_created_is_seen_by_the_next_view(store: Store) -> None:
    task = await store.update(create(builders.task()))
    assert task is store.view().tasks.get(task.id)
    assert 1 == len(store.view().tasks)


async def test_every_kind_of_object_survives_a_restart(
    reopen: Callable[[], Backend], clock: FakeClock
) -> None:
    made: dict[str, Any] = {
        "clusters": builders.cluster(),
        "nodes": builders.node(),
        "services": builders.service(),
        "tasks": builders.task(),
        "networks": builders.network(),
        "secrets": builders.secret(),
        "configs": builders.config(),
        "extensions": builders.extension(),
        "resources": builders.resource("kind"),
        "volumes": builders.volume(),
    }

    def create_all(tx: WriteTx) -> None:
        for table, one in made.items():
            getattr(tx, table).create(one)

    async with Store(reopen(), clock) as store:
        await store.update(create_all)
    async with Store(reopen(), clock) as store:
        for table, one in made.items():
            assert [one] == getattr(store.view(), table).find()
        assert 1 == store.version


async def test_versions_go_on_after_a_restart(
    reopen: Callable[[], Backend], clock: FakeClock
) -> None:
    async with Store(reopen(), clock) as store:
        one, two = [await store.update(create(builders.task())) for _ in range(2)]
        await store.update(lambda tx: tx.tasks.delete(one.id))
    async with Store(reopen(), clock) as store:
        assert 3 == store.version
        assert store.view().tasks.get(one.id) is None
        assert 4 == (await store.update(run(two.id))).meta.version.index


async def test_each_update_has_a_version_and_so_has_what_it_wrote(store: Store) -> None:
    first = await store.update(create(builders.task()))
    second = await store.update(create(builders.task()))
    assert [1, 2] == [first.meta.version.index, second.meta.version.index]
    assert 2 == store.version


async def test_objects_know_when_they_were_created_and_updated(
    store: Store, clock: FakeClock
) -> None:
    created = clock.now()
    task = await store.update(create(builders.task()))
    clock.advance(seconds=90)
    task = await store.update(run(task.id))
    assert created == times.seconds(task.meta.created_at)
    assert created + 90 == times.seconds(task.meta.updated_at)


async def test_a_change_that_raises_leaves_nothing_and_tells_its_caller(store: Store) -> None:
    task = builders.task()

    def change(tx: WriteTx) -> None:
        tx.tasks.create(task)
        tx.tasks.delete("nobody")

    with pytest.raises(NotFoundError, match="task nobody not found"):
        await store.update(change)
    assert store.view().tasks.get(task.id) is None
    assert 0 == store.version


async def test_a_change_that_raises_does_not_touch_those_beside_it(store: Store) -> None:
    def fail(tx: WriteTx) -> None:
        tx.services.create(builders.service("taken"))
        message = "no"
        raise SwarmError(message)

    async with asyncio.TaskGroup() as group:
        good = [group.create_task(store.update(create(builders.task()))) for _ in range(2)]
        bad = group.create_task(asyncio.wait([asyncio.create_task(store.update(fail))]))
        late = group.create_task(
            store.update(lambda tx: tx.services.create(builders.service("taken")))
        )
    (failed,) = bad.result()[0]
    assert isinstance(failed.exception(), SwarmError)
    assert {one.result().id for one in good} == {one.id for one in store.view().tasks.find()}
    assert [late.result()] == store.view().services.find()


async def test_a_change_sees_those_before_it_in_its_group(store: Store) -> None:
    task = builders.task()
    results = await asyncio.gather(
        store.update(create(task)),
        store.update(run(task.id)),
        store.update(lambda tx: [one.id for one in tx.tasks.find(by.task_state(512))]),
    )
    assert [task.id] == results[2]


async def test_a_change_without_writes_makes_no_version(store: Store) -> None:
    assert 0 == await store.update(lambda tx: len(tx.tasks))
    assert 0 == store.version


async def test_an_update_that_changes_nothing_is_still_a_write(store: Store) -> None:
    task = await store.update(create(builders.task()))
    task = await store.update(lambda tx: tx.tasks.update(tx.tasks.copy(task.id)))
    assert 2 == task.meta.version.index


async def test_batch_gives_each_change_its_result_or_its_error(store: Store) -> None:
    one, two = builders.service("web"), builders.service("WEB")
    changes = [lambda tx, s=s: tx.services.create(s).id for s in (one, two)]
    first, second = await store.batch(changes)
    assert one.id == first
    assert isinstance(second, NameConflictError)
    assert 1 == len(store.view().services)


async def test_batch_of_nothing_is_nothing(store: Store) -> None:
    assert [] == await store.batch([])


async def test_batch_raises_what_is_no_swarm_error(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        await store.batch([lambda tx: 1 // len(tx.tasks), create(builders.task())])
    assert 1 == len(store.view().tasks)


async def test_batch_of_many_uses_few_transactions(store: Store) -> None:
    tasks = [builders.task() for _ in range(401)]
    await store.batch([create(task) for task in tasks])
    assert 401 == len(store.view().tasks)
    assert 3 == store.version


async def test_batch_starts_a_new_transaction_before_the_size_limit(store: Store) -> None:
    configs = [builders.config(data=bytes(400_000)) for _ in range(5)]
    await store.batch([lambda tx, one=one: tx.configs.create(one) for one in configs])
    assert 2 == store.version  # three, then two


async def test_a_change_over_the_size_limit_is_refused(store: Store) -> None:
    config = builders.config(data=bytes(1_600_000))
    with pytest.raises(ResourceExhaustedError, match="too large"):
        await store.update(lambda tx: tx.configs.create(config))
    assert 0 == store.version


async def test_writers_that_wait_together_share_one_commit(clock: FakeClock) -> None:
    backend = GatedBackend()
    async with Store(backend, clock) as store, asyncio.TaskGroup() as group:
        group.create_task(store.update(create(builders.task())))
        await backend.waits.wait()
        for _ in range(50):
            group.create_task(store.update(create(builders.task())))
        await asyncio.sleep(0)
        backend.open.set()
    assert [1, 50] == backend.sizes


async def test_a_long_batch_lets_others_in_between(clock: FakeClock) -> None:
    backend = GatedBackend()
    done = []
    async with Store(backend, clock) as store, asyncio.TaskGroup() as group:
        batch = group.create_task(store.batch([create(builders.task()) for _ in range(900)]))
        batch.add_done_callback(lambda _: done.append("batch"))
        await backend.waits.wait()
        single = group.create_task(store.update(create(builders.task())))
        single.add_done_callback(lambda _: done.append("single"))
        backend.open.set()
    assert ["single", "batch"] == done


async def test_what_waits_when_the_lead_is_lost_is_refused_untried(clock: FakeClock) -> None:
    backend = GatedBackend()
    backend.lease = lease = LosableLease()
    async with Store(backend, clock) as store, asyncio.TaskGroup() as group:
        batch = group.create_task(store.batch([create(builders.task()) for _ in range(900)]))
        await backend.waits.wait()
        lease.ours = False
        backend.open.set()
    assert [200] == backend.sizes
    assert [NotLeaderError] * 700 == [type(one) for one in batch.result()[200:]]


async def test_what_is_kept_elsewhere_takes_no_change_ever_again(clock: FakeClock) -> None:
    async with Store(MemoryBackend(), clock) as store:
        async with store.lead(), store.frozen() as loaded:
            waits = asyncio.ensure_future(store.update(create(builders.task())))
            await asyncio.sleep(0)
            store.retire()
            with pytest.raises(NotLeaderError):
                await waits
        assert (0, True, False) == (len(loaded.rows), store.retired, store.is_writable)
        with pytest.raises(NotLeaderError):
            await store.update(create(builders.task()))
        with pytest.raises(NotLeaderError):
            async with store.still():
                raise AssertionError("a data key could change")


async def test_nothing_is_visible_before_it_is_durable(clock: FakeClock) -> None:
    backend = GatedBackend()
    task = builders.task()
    async with Store(backend, clock) as store:
        update = asyncio.create_task(store.update(create(task)))
        await backend.waits.wait()
        assert store.view().tasks.get(task.id) is None
        assert 0 == store.version
        backend.open.set()
        await update
        assert store.view().tasks.get(task.id) is not None


async def test_a_view_does_not_change_until_the_next_await(store: Store) -> None:
    update = asyncio.create_task(store.update(create(builders.task())))
    tx = store.view()
    assert len(tx.tasks) == len(tx.tasks.find())
    await update
    assert 1 == len(tx.tasks)


async def test_a_cancelled_caller_leaves_the_write_whole(clock: FakeClock) -> None:
    backend = GatedBackend()
    service, task = builders.service(), builders.task()

    def both(tx: WriteTx) -> None:
        tx.services.create(service)
        tx.tasks.create(task)

    async with Store(backend, clock) as store:
        update = asyncio.create_task(store.update(both))
        await backend.waits.wait()
        update.cancel()
        await asyncio.wait([update])
        backend.open.set()
        await store.update(create(builders.task()))
        assert store.view().services.get(service.id)
        assert store.view().tasks.get(task.id)


async def test_a_caller_cancelled_while_it_queues_changes_nothing(clock: FakeClock) -> None:
    backend = GatedBackend()
    task = builders.task()
    async with Store(backend, clock) as store:
        first = asyncio.create_task(store.update(create(builders.task())))
        await backend.waits.wait()
        second = asyncio.create_task(store.update(create(task)))
        await asyncio.sleep(0)
        second.cancel()
        backend.open.set()
        await asyncio.wait([first, second])
        assert store.view().tasks.get(task.id) is None


async def test_a_failing_backend_fails_its_writers_and_loses_nothing(clock: FakeClock) -> None:
    backend = FailingBackend()
    async with Store(backend, clock) as store:
        kept = await store.update(create(builders.task()))
        backend.failing = True
        with pytest.raises(UnavailableError, match="on fire"):
            await store.update(run(kept.id))
        assert [kept] == store.view().tasks.find(by.task_state(api.TaskState.NEW))
        assert [] == store.view().tasks.find(by.task_state(api.TaskState.RUNNING))
        backend.failing = False
        again = await store.update(run(kept.id))
        assert (2, 2) == (again.meta.version.index, store.version)


async def test_a_failing_backend_fails_each_change_of_a_batch(clock: FakeClock) -> None:
    backend = FailingBackend()
    backend.failing = True
    async with Store(backend, clock) as store:
        results = await store.batch([create(builders.task()) for _ in range(250)])
    assert 250 == sum(isinstance(one, UnavailableError) for one in results)


async def test_a_conflict_with_what_failed_is_told_as_the_failure(clock: FakeClock) -> None:
    backend = FailingBackend()
    backend.failing = True
    async with Store(backend, clock) as store:
        changes = [lambda tx: tx.services.create(builders.service("web")).id] * 2
        assert [True, True] == [
            isinstance(one, UnavailableError) for one in await store.batch(changes)
        ]


async def test_closing_finishes_what_is_queued_and_takes_no_more(clock: FakeClock) -> None:
    backend = MemoryBackend()
    store = Store(backend, clock)
    async with store:
        queued = asyncio.create_task(store.update(create(builders.task())))
        await asyncio.sleep(0)
    assert queued.done()
    assert 1 == backend.version
    with pytest.raises(UnavailableError, match="closed"):
        await store.update(create(builders.task()))


async def test_a_cancelled_writer_leaves_nobody_waiting(clock: FakeClock) -> None:
    backend = GatedBackend()
    store = Store(backend, clock)

    async def use() -> None:
        async with store, asyncio.TaskGroup() as group:
            group.create_task(asyncio.wait_for(store.update(create(builders.task())), 60))
            await backend.waits.wait()
            assert store._writer is not None
            store._writer.cancel()

    with pytest.raises(BaseExceptionGroup) as raised:
        await use()
    assert raised.group_contains(UnavailableError, match="closed")


async def test_a_coroutine_is_refused_as_a_change(store: Store) -> None:
    async def later() -> None:
        """Would run after its transaction."""

    coroutine = later()
    with pytest.raises(AssertionError, match="plain function"):
        await store.update(lambda tx: coroutine)
    coroutine.close()
