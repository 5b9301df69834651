"""Pending tasks in the store become assigned ones, and what cannot be assigned says why."""

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from swarmd import api
from swarmd.api.resources import discrete, named
from swarmd.store import MemoryBackend, Select, Store, Updated, WriteTx
from tests import builders
from tests.fakes.clock import FakeClock
from tests.unit.manager.scheduler.cluster import node, reserving
from workers.manager.scheduler.scheduler import Scheduler

PENDING, ASSIGNED = api.TaskState.PENDING, api.TaskState.ASSIGNED
Change = Callable[[WriteTx], object]


class Cluster:
    """A store with a scheduler at work on it."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock

    async def put(self, *objects: api.Task | api.Node | api.Service) -> None:
        """Create these, as one transaction for each kind of object."""
        tables = {api.Task: "tasks", api.Node: "nodes", api.Service: "services"}

        def change(tx: WriteTx) -> None:
            for each in objects:
                getattr(tx, tables[type(each)]).create(each)

        await self.store.update(change)

    async def edit_task(self, task_id: str, edit: Callable[[api.Task], object]) -> None:
        def change(tx: WriteTx) -> None:
            task = tx.tasks.copy(task_id)
            edit(task)
            tx.tasks.update(task)

        await self.store.update(change)

    async def edit_node(self, node_id: str, edit: Callable[[api.Node], object]) -> None:
        def change(tx: WriteTx) -> None:
            found = tx.nodes.copy(node_id)
            edit(found)
            tx.nodes.update(found)

        await self.store.update(change)

    def task(self, task_id: str) -> api.Task:
        found = self.store.view().tasks.get(task_id)
        assert found is not None
        return found

    async def wait_task(self, task_id: str, condition: Callable[[api.Task], bool]) -> api.Task:
        async with asyncio.timeout(5), self.store.watch(Select(api.Task)) as watcher:
            while not condition(self.task(task_id)):
                await watcher.next()
        return self.task(task_id)

    async def wait_state(self, task_id: str, state: int) -> api.Task:
        return await self.wait_task(task_id, lambda task: task.status.state == state)

    async def settle(self) -> None:
        """Return when a change made now was seen and acted upon."""
        probe = pending(None)
        await self.put(probe)
        await self.wait_task(probe.id, lambda task: bool(task.status.err or task.node_id))


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    clock = FakeClock()
    async with Store(MemoryBackend(), clock) as store:
        yield Cluster(store, clock)


@pytest.fixture
async def running(cluster: Cluster) -> AsyncIterator[Cluster]:
    scheduler = Scheduler(cluster.store, cluster.clock, Random(0))
    work = asyncio.create_task(scheduler.run())
    yield cluster
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


def service(**spec: object) -> api.Service:
    container = api.ContainerSpec(image="nginx")
    return builders.service(task_spec=api.TaskSpec(container=container, **spec))


def pending(owner: api.Service | None, **fields: object) -> api.Task:
    task = builders.task(owner, state=PENDING, **fields)
    task.status.message = "pending task scheduling"
    return task


async def test_pending_task_is_assigned_to_a_node(running: Cluster) -> None:
    web = service()
    task = pending(web)
    await running.put(web, node("n1"), task)
    got = await running.wait_state(task.id, ASSIGNED)
    assert "n1" == got.node_id
    assert "scheduler assigned task to node" == got.status.message
    assert int(running.clock.now()) == got.status.timestamp.seconds


async def test_why_a_task_is_not_on_other_nodes_is_told_beside_its_status(running: Cluster) -> None:
    web = service(**reserving(nano_cpus=10**9))
    task = pending(web)
    async with running.store.watch(Select(api.Task, {Updated})) as watcher:
        await running.put(web, node("n1"), node("n2", cpus=0.5), task)
        (assigned, _) = await watcher.next()
    assert isinstance(assigned, Updated)
    assert "not on others: insufficient resources on 1 node" == assigned.why
    assert "scheduler assigned task to node" == assigned.object.status.message


async def test_what_was_pending_before_the_start_is_assigned(cluster: Cluster) -> None:
    web = service()
    tasks = [pending(web) for _ in range(10)]
    await cluster.put(web, node("n1"), node("n2"), *tasks)
    work = asyncio.create_task(Scheduler(cluster.store, cluster.clock, Random(0)).run())
    for task in tasks:
        await cluster.wait_state(task.id, ASSIGNED)
    work.cancel()
    on = [cluster.task(task.id).node_id for task in tasks]
    assert (5, 5) == (on.count("n1"), on.count("n2"))


async def test_new_task_is_left_to_the_allocator(running: Cluster) -> None:
    web = service()
    task = builders.task(web)
    await running.put(web, node("n1"), task)
    await running.settle()
    assert api.TaskState.NEW == running.task(task.id).status.state


async def test_task_that_fits_nowhere_says_why_and_keeps_its_message(running: Cluster) -> None:
    web = service(**reserving(nano_cpus=100 * 10**9))
    task = pending(web)
    await running.put(web, node("n1"), node("n2"), node("n3"), task)
    got = await running.wait_task(task.id, lambda task: bool(task.status.err))
    assert "no suitable node (insufficient resources on 3 nodes)" == got.status.err
    assert "pending task scheduling" == got.status.message
    assert PENDING == got.status.state


async def test_ten_thousand_tasks_that_fit_nowhere_are_told_once_and_placed_when_they_can_be(
    running: Cluster,
) -> None:
    web = service(placement=api.Placement(constraints=["node.labels.nobody == x"]))
    many = [pending(web) for _ in range(10_000)]
    await running.put(web, node("n1"), node("n2"))
    for some in (many[start : start + 2_000] for start in range(0, 10_000, 2_000)):
        await running.put(*some)
    for task in many:
        got = await running.wait_task(task.id, lambda task: bool(task.status.err))
        assert "no suitable node (scheduling constraints not satisfied on 2 nodes)" == (
            got.status.err
        )
    version = running.task(many[0].id).meta.version.index
    await running.edit_node("n1", lambda node: node.spec.annotations.labels.update(other="x"))
    await running.settle()
    assert version == running.task(many[0].id).meta.version.index  # nothing new was to be said
    await running.edit_node("n2", lambda node: node.spec.annotations.labels.update(nobody="x"))
    for task in many:
        assert "n2" == (await running.wait_state(task.id, ASSIGNED)).node_id


async def test_cluster_without_nodes_gives_no_reason(running: Cluster) -> None:
    web = service()
    task = pending(web)
    await running.put(web, task)
    got = await running.wait_task(task.id, lambda task: bool(task.status.err))
    assert "no suitable node" == got.status.err


async def test_waiting_task_is_assigned_when_a_node_comes(running: Cluster) -> None:
    web = service()
    task = pending(web)
    await running.put(web, task)
    await running.wait_task(task.id, lambda task: bool(task.status.err))
    await running.put(node("n1"))
    got = await running.wait_state(task.id, ASSIGNED)
    assert "" == got.status.err


async def test_waiting_task_gets_the_place_of_one_that_ends(running: Cluster) -> None:
    web = service(**reserving(nano_cpus=3 * 10**9))
    first, second = pending(web), pending(web)
    await running.put(web, node("n1", cpus=4), first, second)
    await running.wait_state(first.id, ASSIGNED)
    await running.wait_task(second.id, lambda task: bool(task.status.err))
    await running.edit_task(first.id, shut)
    assert "n1" == (await running.wait_state(second.id, ASSIGNED)).node_id


async def test_waiting_task_gets_the_place_of_one_that_is_deleted(running: Cluster) -> None:
    web = service(**reserving(nano_cpus=3 * 10**9))
    first, second = pending(web), pending(web)
    await running.put(web, node("n1", cpus=4), first, second)
    await running.wait_task(second.id, lambda task: bool(task.status.err))
    await running.store.update(lambda tx: tx.tasks.delete(first.id))
    await running.wait_state(second.id, ASSIGNED)


async def test_drained_node_gets_no_task_until_it_is_active_again(running: Cluster) -> None:
    web = service()
    task = pending(web)
    await running.put(node("n1", availability=api.NodeSpec.Availability.DRAIN), web, task)
    got = await running.wait_task(task.id, lambda task: bool(task.status.err))
    assert "no suitable node (1 node not available for new tasks)" == got.status.err
    active = api.NodeSpec.Availability.ACTIVE
    await running.edit_node("n1", lambda found: setattr(found.spec, "availability", active))
    await running.wait_state(task.id, ASSIGNED)


async def test_node_that_is_gone_gets_no_task(running: Cluster) -> None:
    web = service()
    gone, first, waiting = node("n1"), pending(web), pending(web)
    await running.put(web, gone, first)
    await running.wait_state(first.id, ASSIGNED)
    await running.store.update(lambda tx: tx.nodes.delete(gone.id))
    await running.put(waiting)
    got = await running.wait_task(waiting.id, lambda task: bool(task.status.err))
    assert "no suitable node" == got.status.err
    await running.put(node("n2"))
    assert "n2" == (await running.wait_state(waiting.id, ASSIGNED)).node_id


async def test_task_of_a_node_that_is_drained_is_not_confirmed_there(running: Cluster) -> None:
    host = node("n1", availability=api.NodeSpec.Availability.DRAIN)
    web = service()
    task = pending(web, node_id="n1")
    await running.put(web, host, task)
    got = await running.wait_task(task.id, lambda task: bool(task.status.err))
    assert "1 node not available for new tasks" == got.status.err


async def test_task_of_a_global_service_is_confirmed_on_its_node(running: Cluster) -> None:
    agent = builders.service(replicas=None, task_spec=service().spec.task)
    task = pending(agent, node_id="n2")
    await running.put(agent, node("n1"), node("n2"), task)
    got = await running.wait_state(task.id, ASSIGNED)
    assert "n2" == got.node_id
    assert "scheduler confirmed task can run on preassigned node" == got.status.message


async def test_task_of_a_global_service_that_does_not_fit_waits_on_its_node(
    running: Cluster,
) -> None:
    spec = service(**reserving(nano_cpus=3 * 10**9)).spec.task
    agent = builders.service(replicas=None, task_spec=spec)
    task = pending(agent, node_id="n2")
    await running.put(agent, node("n1"), node("n2", cpus=1), task)
    got = await running.wait_task(task.id, lambda task: bool(task.status.err))
    assert ("n2", PENDING) == (got.node_id, got.status.state)
    assert "insufficient resources on 1 node" == got.status.err
    more = 9 * 10**9
    await running.edit_node("n2", lambda n: setattr(n.description.resources, "nano_cpus", more))
    await running.wait_state(task.id, ASSIGNED)


async def test_task_that_is_wanted_no_more_before_it_was_placed_has_ended(
    running: Cluster,
) -> None:
    web = service()
    task = pending(web)
    await running.put(web, task)
    await running.wait_task(task.id, lambda task: bool(task.status.err))
    shutdown = api.TaskState.SHUTDOWN
    await running.edit_task(task.id, lambda found: setattr(found, "desired_state", shutdown))
    got = await running.wait_state(task.id, shutdown)
    assert ("", "") == (got.node_id, got.status.err)


async def test_task_of_a_job_is_wanted_although_its_goal_is_complete(running: Cluster) -> None:
    web = service()
    task = pending(web, desired_state=api.TaskState.COMPLETE)
    await running.put(web, node("n1"), task)
    await running.wait_state(task.id, ASSIGNED)


async def test_decision_about_a_node_that_changed_meanwhile_is_made_again(
    cluster: Cluster,
) -> None:
    web = service()
    task = pending(web)
    await cluster.put(web, node("n1"), task)
    work = asyncio.create_task(Scheduler(cluster.store, cluster.clock, Random(0)).run())
    # Both are queued before the scheduler's first commit: it decides on what is outdated by then.
    down = api.NodeStatus.State.DOWN
    await cluster.edit_node("n1", lambda found: setattr(found.status, "state", down))
    got = await cluster.wait_task(task.id, lambda task: bool(task.status.err))
    assert "no suitable node (1 node not available for new tasks)" == got.status.err
    assert "" == got.node_id
    work.cancel()


async def test_failing_node_is_avoided(running: Cluster) -> None:
    web = service()
    busy = [pending(web, node_id="n2") for _ in range(5)]
    await running.put(web, node("n1"), node("n2"), *busy)
    for task in busy:
        await running.wait_state(task.id, ASSIGNED)
    for _ in range(5):
        task = pending(web)
        await running.put(task)
        assert "n1" == (await running.wait_state(task.id, ASSIGNED)).node_id
        await running.edit_task(task.id, fail)
    task = pending(web)
    await running.put(task)
    assert "n2" == (await running.wait_state(task.id, ASSIGNED)).node_id


async def test_failures_are_forgotten_after_five_minutes(running: Cluster) -> None:
    web = service()
    busy = pending(web, node_id="n2")
    await running.put(web, node("n1"), node("n2"), busy)
    await running.wait_state(busy.id, ASSIGNED)
    for _ in range(5):
        task = pending(web)
        await running.put(task)
        assert "n1" == (await running.wait_state(task.id, ASSIGNED)).node_id
        await running.edit_task(task.id, fail)
    running.clock.advance(seconds=301)
    task = pending(web)
    await running.put(task)
    assert "n1" == (await running.wait_state(task.id, ASSIGNED)).node_id


async def test_assigned_generic_resources_are_written_to_the_task(running: Cluster) -> None:
    web = service(**reserving(generic=[discrete("gpu", 1)]))
    first, second = pending(web), pending(web)
    offers = node("n1")
    offers.description.resources.generic.extend([named("gpu", "a"), named("gpu", "b")])
    await running.put(web, offers, first, second)
    got = [await running.wait_state(task.id, ASSIGNED) for task in (first, second)]
    given = [list(task.assigned_generic_resources) for task in got]
    assert [[named("gpu", "a")], [named("gpu", "b")]] == given


async def test_thousand_tasks_are_spread_by_ones(running: Cluster) -> None:
    web = service()
    tasks = [pending(web) for _ in range(1000)]
    await running.put(web, *(node(f"n{i}") for i in range(30)))
    await running.store.batch([lambda tx, each=each: tx.tasks.create(each) for each in tasks])
    for task in tasks:
        await running.wait_state(task.id, ASSIGNED)
    on = [running.task(task.id).node_id for task in tasks]
    counts = [on.count(f"n{i}") for i in range(30)]
    assert max(counts) - min(counts) <= 1


def shut(task: api.Task) -> None:
    task.status.state = task.desired_state = api.TaskState.SHUTDOWN


def fail(task: api.Task) -> None:
    task.status.state = api.TaskState.FAILED
