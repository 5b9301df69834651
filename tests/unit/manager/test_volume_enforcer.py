"""Tasks leave volumes that are drained."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from swarmd import api
from swarmd.store import MemoryBackend, Store
from tests import builders, stored
from tests.fakes.clock import FakeClock
from workers.manager.volume_enforcer import VolumeEnforcer

State = api.TaskState
Availability = api.VolumeSpec.VolumeAvailability


@asynccontextmanager
async def enforcing(*objects: Any) -> AsyncIterator[Store]:
    clock = FakeClock()
    async with Store(MemoryBackend(), clock) as store:
        await stored.add(store, *objects)
        running = asyncio.create_task(VolumeEnforcer(store, clock, Random(0)).run())
        await settle()
        yield store
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def make(store: Store, volume: api.Volume, availability: int) -> None:
    await stored.edit(store, volume, lambda own: setattr(own.spec, "availability", availability))
    await settle()


def on(volume: api.Volume, **fields: Any) -> api.Task:
    return builders.task(**{"state": State.RUNNING, "volumes": [{"id": volume.id}], **fields})


def states(store: Store) -> dict[str, int]:
    return {task.id: task.status.state for task in store.view().tasks.find()}


async def test_a_drained_volume_rejects_its_live_tasks_alone_and_says_why() -> None:
    data, other = builders.volume(), builders.volume()
    live, done = on(data), on(data, state=State.COMPLETE)
    stopping, elsewhere = on(data, desired_state=State.SHUTDOWN), on(other)
    async with enforcing(data, other, live, done, stopping, elsewhere) as store:
        await make(store, data, Availability.PAUSE)
        assert State.RUNNING == states(store)[live.id]
        await make(store, data, Availability.DRAIN)
        expected = {
            live.id: State.REJECTED,
            done.id: State.COMPLETE,
            stopping.id: State.RUNNING,
            elsewhere.id: State.RUNNING,
        }
        assert expected == states(store)
        told = store.view().tasks.get(live.id)
        assert told is not None
        assert "task rejected by volume enforcer" == told.status.message
        assert "attached to volume which is being drained" == told.status.err
        assert State.RUNNING == told.desired_state


async def test_what_was_drained_before_we_led_is_seen_too() -> None:
    data = builders.volume()
    data.spec.availability = Availability.DRAIN
    async with enforcing(data, live := on(data)) as store:
        assert {live.id: State.REJECTED} == states(store)


async def test_a_task_that_is_given_it_in_the_last_moment_is_rejected() -> None:
    data = builders.volume()
    data.spec.availability = Availability.DRAIN
    late = builders.task(state=State.PENDING)
    async with enforcing(data, late) as store:

        def assign(own: api.Task) -> None:
            own.status.state = State.ASSIGNED
            own.volumes.add(id=data.id)

        await stored.edit(store, late, assign)
        await settle()
        assert {late.id: State.REJECTED} == states(store)
