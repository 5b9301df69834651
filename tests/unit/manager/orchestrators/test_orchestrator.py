"""All orchestrators together: whatever happens, and whoever leads, it ends as was asked for."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd import api
from swarmd.api import times
from swarmd.errors import UnavailableError
from swarmd.store import Select, Updated
from tests import builders
from tests.unit.manager.orchestrators.cluster import Cluster, State

Action = api.UpdateConfig.FailureAction
Availability = api.NodeSpec.Availability
Order = api.UpdateConfig.UpdateOrder

EVENTS = st.one_of(
    st.tuples(st.just("scale"), st.integers(0, 5)),
    st.tuples(st.just("image"), st.sampled_from(["one", "two", "three"])),
    st.tuples(st.just("fail"), st.integers(0, 9)),
    st.tuples(st.just("remove"), st.integers(0, 9)),
    st.tuples(st.just("drain"), st.sampled_from("ab")),
    st.tuples(st.just("activate"), st.sampled_from("ab")),
    st.tuples(st.just("lead"), st.none()),
    st.tuples(st.just("stop"), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 30.0])),
)


class World:
    """A service on two nodes, to which things happen."""

    def __init__(self, cluster, web):
        self.cluster = cluster
        self.web = web

    async def happen(self, event, value):
        await getattr(self, event)(value)

    async def scale(self, replicas):
        if self.web.spec.HasField("replicated"):
            await self.cluster.change(
                self.web, lambda own: setattr(own.spec.replicated, "replicas", replicas)
            )

    async def image(self, name):
        await self.cluster.update(
            self.web, lambda spec: setattr(spec.task.container, "image", name)
        )

    async def fail(self, which):
        running = self.cluster.running(self.web)
        if running:
            await self.cluster.report(running[which % len(running)], State.FAILED)

    async def remove(self, which):
        found = self.cluster.tasks(self.web)
        if found:
            await self.cluster.delete(found[which % len(found)])

    async def drain(self, name):
        await self._availability(name, Availability.DRAIN)

    async def activate(self, name):
        await self._availability(name, Availability.ACTIVE)

    async def lead(self, _):
        await self.cluster.lead()

    async def stop(self, _):
        await self.cluster.stop()

    async def wait(self, seconds):
        await self.cluster.advance(seconds)

    async def calm_down(self):
        for name in "ab":
            await self.activate(name)
        await self.cluster.lead()
        await self.cluster.advance(1500)

    async def _availability(self, name, value):
        node = self.cluster.store.view().nodes.get(name)
        await self.cluster.change(node, lambda own: setattr(own.spec, "availability", value))


async def watch_direction(store, backward):
    async with store.watch(Select(api.Task, {Updated})) as watcher:
        async for events in watcher:
            for event in events:
                if not isinstance(event, Updated):
                    continue
                new, old = event.object, event.old
                if new.status.state < old.status.state or new.desired_state < old.desired_state:
                    backward.append((old, new))


async def live_through(web, events):
    """The cluster after all of it; and the tasks' changes that went backward."""
    backward = []
    async with Cluster() as cluster:
        watching = asyncio.create_task(watch_direction(cluster.store, backward))
        await cluster.create(builders.node(id="a"), builders.node(id="b"), web)
        world = World(cluster, web)
        await cluster.lead()
        for event, value in events:
            await world.happen(event, value)
        await world.calm_down()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return cluster, cluster.get(web), cluster.running(web), backward


def config(order, parallelism):
    return api.UpdateConfig(
        order=order,
        parallelism=parallelism,
        failure_action=Action.CONTINUE,
        monitor=times.duration(1),
        delay=times.duration(1),
    )


@settings(max_examples=40)
@given(
    events=st.lists(EVENTS, max_size=12),
    order=st.sampled_from([Order.STOP_FIRST, Order.START_FIRST]),
    parallelism=st.integers(0, 2),
)
def test_a_replicated_service_ends_as_asked_for(events, order, parallelism):
    web = builders.service(replicas=3)
    web.spec.update.CopyFrom(config(order, parallelism))
    cluster, asked, running, backward = asyncio.run(live_through(web, events))
    assert asked.spec.replicated.replicas == len(running)
    assert len(running) == len({task.slot for task in running})
    assert {asked.spec.task.container.image} >= {t.spec.container.image for t in running}
    assert [] == backward
    assert max(cluster.most_running.values(), default=0) <= (1 if order == Order.STOP_FIRST else 2)


@settings(max_examples=30)
@given(events=st.lists(EVENTS, max_size=12), parallelism=st.integers(0, 2))
def test_a_global_service_ends_as_asked_for(events, parallelism):
    web = builders.service(replicas=None)
    web.spec.update.CopyFrom(config(Order.STOP_FIRST, parallelism))
    _, asked, running, backward = asyncio.run(live_through(web, events))
    assert ["a", "b"] == sorted(task.node_id for task in running)
    assert {asked.spec.task.container.image} == {t.spec.container.image for t in running}
    assert [] == backward


async def test_what_the_store_refuses_is_done_once_it_works_again():
    async with Cluster() as cluster:
        await cluster.lead()
        real, broken = cluster.store.batch, True

        async def batch(changes):
            return [UnavailableError("no disk")] * len(changes) if broken else await real(changes)

        cluster.store.batch = batch
        await cluster.create(web := builders.service(replicas=3))
        await cluster.settle()
        assert [] == cluster.tasks(web)
        broken = False
        await cluster.advance(1)
        assert 3 == len(cluster.running(web))


async def test_ten_thousand_tasks_take_no_time_to_speak_of():
    async with Cluster(agent=False) as cluster:
        await cluster.lead()
        await cluster.create(web := builders.service(replicas=10_000))
        await cluster.settle()
        assert 10_000 == len(cluster.tasks(web))
