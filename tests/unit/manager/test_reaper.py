import asyncio
from contextlib import asynccontextmanager
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from swarmd import api
from swarmd.api import times
from swarmd.store import MemoryBackend, Store
from tests import builders
from tests.fakes.clock import FakeClock
from tests.stored import add, edit
from workers.manager.reaper import Reaper, outlived

State = api.TaskState
Update = api.UpdateStatus.UpdateState


def past(service, count, slot=1, state=State.FAILED, **fields):
    """Ended tasks, the oldest first."""
    return [
        at(
            builders.task(service, state=state, desired_state=State.SHUTDOWN, slot=slot, **fields),
            n,
        )
        for n in range(count)
    ]


def at(task, moment):
    task.status.applied_at.CopyFrom(times.timestamp(moment))
    return task


def job(total=3):
    built = builders.service()
    built.spec.replicated_job.total_completions = total
    built.job_status.job_iteration.index = 2
    return built


@asynccontextmanager
async def opened(*objects, history=5):
    clock = FakeClock()
    cluster = builders.cluster()
    cluster.spec.orchestration.task_history_retention_limit = history
    async with Store(MemoryBackend(), clock) as store:
        await add(store, cluster, *objects)
        yield store, clock


@asynccontextmanager
async def reaping(*objects, history=5):
    async with opened(*objects, history=history) as (store, clock):
        running = asyncio.create_task(Reaper(store, clock, Random(0)).run())
        await sweep(clock)
        yield store, clock
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def sweep(clock):
    for _ in range(40):
        await asyncio.sleep(0)
    clock.advance(seconds=0.25)
    for _ in range(40):
        await asyncio.sleep(0)


def left(store):
    return {task.id for task in store.view().tasks.find()}


def ids(found):
    return {task.id for task in found}


async def test_a_slot_keeps_the_newest_five_the_running_one_included():
    web = builders.service()
    old = past(web, 7)
    async with reaping(web, *old) as (store, clock):
        assert ids(old[2:]) == left(store)
        await add(store, running := builders.task(web, state=State.RUNNING))
        await sweep(clock)
        assert ids([*old[3:], running]) == left(store)


async def test_each_slot_has_a_history_of_its_own():
    web = builders.service()
    async with reaping(web, *past(web, 4, slot=1), *past(web, 4, slot=2), history=3) as (store, _):
        assert [1, 1, 1, 2, 2, 2] == sorted(task.slot for task in store.view().tasks.find())


async def test_each_node_has_a_history_of_a_global_service():
    web = builders.service(replicas=None)
    a = past(web, 3, slot=0, node_id="a")
    b = past(web, 1, slot=0, node_id="b")
    async with reaping(web, *a, *b, history=2) as (store, _):
        assert ids(a[1:]) | ids(b) == left(store)


async def test_attempts_that_must_be_counted_are_kept():
    web = builders.service()
    web.spec.task.restart.max_attempts = 7
    old = past(web, 10)
    async with reaping(web, *old, history=2) as (store, _):
        assert ids(old[2:]) == left(store)


async def test_a_negative_limit_keeps_all():
    web = builders.service()
    async with reaping(web, *past(web, 30), history=-1) as (store, _):
        assert 30 == len(left(store))


async def test_a_lower_limit_reaches_the_history_that_is_there():
    web = builders.service()
    old = past(web, 5)
    async with reaping(web, *old) as (store, clock):
        cluster = store.view().clusters.find()[0]
        await edit(
            store,
            cluster,
            lambda own: setattr(own.spec.orchestration, "task_history_retention_limit", 1),
        )
        await sweep(clock)
        assert ids(old[4:]) == left(store)


async def test_what_runs_is_never_forgotten():
    web = builders.service()
    running = [builders.task(web, state=State.RUNNING) for _ in range(4)]
    async with reaping(web, *running, history=0) as (store, _):
        assert ids(running) == left(store)


async def test_a_slot_in_which_several_run_is_looked_at_again():
    web = builders.service()
    running = [at(builders.task(web, state=State.RUNNING), n) for n in range(3)]
    async with reaping(web, *running, history=1) as (store, clock):
        await edit(store, running[0], lambda own: setattr(own.status, "state", State.SHUTDOWN))
        await add(store, builders.task(web, slot=2))
        await sweep(clock)
        assert running[0].id not in left(store)
        assert running[1].id in left(store)


async def test_what_never_ran_and_never_will_counts_as_ended():
    web = builders.service()
    idle = past(web, 3, state=State.PENDING)
    async with reaping(web, *idle, history=1) as (store, _):
        assert ids(idle[2:]) == left(store)


async def test_what_is_to_be_removed_goes_once_it_has_stopped():
    web = builders.service()
    waits = builders.task(web, state=State.PENDING, desired_state=State.REMOVE)
    runs = builders.task(web, state=State.RUNNING, desired_state=State.REMOVE)
    async with reaping(web, waits, runs) as (store, clock):
        assert {runs.id} == left(store)
        await edit(store, runs, lambda own: setattr(own.status, "state", State.SHUTDOWN))
        await sweep(clock)
        assert set() == left(store)


async def test_orphans_go_at_once_if_no_service_has_them():
    web = builders.service()
    mine = builders.task(web, state=State.ORPHANED)
    attachment = builders.task(state=State.ORPHANED)
    async with reaping(web, mine, attachment) as (store, _):
        assert {mine.id} == left(store)


async def test_a_jobs_history_is_short_too():
    batch = job()
    old = past(batch, 8, slot=0, job_iteration={"index": 2})
    async with reaping(batch, *old) as (store, _):
        assert ids(old[3:]) == left(store)


async def test_a_jobs_results_are_kept_while_they_count():
    batch = job()
    result = past(batch, 1, slot=0, state=State.COMPLETE, job_iteration={"index": 2})
    before = past(batch, 3, slot=0, state=State.COMPLETE, job_iteration={"index": 1})
    async with reaping(batch, *before, *result, history=0) as (store, _):
        assert ids(result) == left(store)


async def test_many_are_forgotten_without_a_wait():
    web = builders.service()
    gone = [builders.task(web, slot=n, desired_state=State.REMOVE) for n in range(1100)]
    async with reaping(web) as (store, _):
        await add(store, *gone)
        for _ in range(200):
            await asyncio.sleep(0)
        assert set() == left(store)


async def test_a_task_that_is_gone_already_is_no_trouble():
    web = builders.service()
    task = builders.task(web, desired_state=State.REMOVE)
    async with reaping(web) as (store, clock):
        await add(store, task)
        await asyncio.sleep(0)
        await store.update(lambda tx: tx.tasks.delete(task.id))
        await sweep(clock)
        assert set() == left(store)


@given(
    states=st.lists(st.sampled_from([State.RUNNING, State.FAILED, State.COMPLETE]), max_size=10),
    limit=st.integers(-1, 6),
)
def test_the_history_is_as_long_as_asked_and_loses_the_oldest(states, limit):
    async def check():
        web = builders.service()
        there = [at(builders.task(web, state=state), n) for n, state in enumerate(states)]
        async with opened(web, *there, history=limit) as (store, _):
            gone, _ = outlived(store.view(), (web.id, 1, ""))
            ended = [task for task in there if task.status.state != State.RUNNING]
            surplus = max(0, len(there) - limit) if limit >= 0 else 0
            assert ids(ended[:surplus]) == ids(gone)

    asyncio.run(check())
