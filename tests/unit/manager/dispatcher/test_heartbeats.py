"""Deadlines: many keys, one sleeper."""

import asyncio
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.clock import FakeClock
from workers.manager.dispatcher.heartbeats import Deadlines, jittered


async def due_after(deadlines: Deadlines, clock: FakeClock, seconds: float) -> list[str]:
    """What is due in that time, in order."""
    found: list[str] = []

    async def collect() -> None:
        while True:
            found.extend(await deadlines.next_due())

    work = asyncio.create_task(collect())
    end = clock.monotonic() + seconds
    await turn()
    while clock.next_deadline is not None and clock.next_deadline <= end:
        clock.advance(seconds=clock.next_deadline - clock.monotonic())
        await turn()
    clock.advance(seconds=end - clock.monotonic())
    await turn()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return found


async def turn() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_keys_are_due_in_the_order_of_their_times() -> None:
    clock = FakeClock()
    deadlines = Deadlines(clock)
    deadlines.set("late", 3)
    deadlines.set("soon", 1)
    assert [] == await due_after(deadlines, clock, 0.5)
    assert ["soon", "late"] == await due_after(deadlines, clock, 3)


async def test_key_that_is_moved_on_is_not_due_before_its_new_time() -> None:
    clock = FakeClock()
    deadlines = Deadlines(clock)
    deadlines.set("node", 5)
    assert [] == await due_after(deadlines, clock, 4)
    deadlines.set("node", 5)
    assert [] == await due_after(deadlines, clock, 4)
    assert ["node"] == await due_after(deadlines, clock, 2)


async def test_key_that_is_moved_nearer_is_due_at_its_new_time() -> None:
    clock = FakeClock()
    deadlines = Deadlines(clock)
    deadlines.set("node", 50)
    waiting = asyncio.create_task(deadlines.next_due())
    await turn()
    deadlines.set("node", 1)
    await turn()
    clock.advance(seconds=1)
    assert ["node"] == await waiting


async def test_dropped_key_is_never_due() -> None:
    clock = FakeClock()
    deadlines = Deadlines(clock)
    deadlines.set("node", 1)
    deadlines.drop("node")
    assert [] == await due_after(deadlines, clock, 10)


async def test_cancelled_wait_leaves_no_sleeper() -> None:
    clock = FakeClock()
    deadlines = Deadlines(clock)
    deadlines.set("node", 1)
    waiting = asyncio.create_task(deadlines.next_due())
    await turn()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert clock.next_deadline is None


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.sampled_from([0, 1, 4])),
        max_size=25,
    )
)
def test_each_key_is_due_at_its_last_time_and_once(steps) -> None:
    async def check() -> None:
        clock = FakeClock()
        deadlines, expected, found = Deadlines(clock), {}, []
        for key, seconds, passes in steps:
            deadlines.set(key, seconds)
            expected[key] = clock.monotonic() + seconds
            found = await due_after(deadlines, clock, passes)
            assert {k for k, at in expected.items() if at <= clock.monotonic()} == set(found)
            assert len(set(found)) == len(found)
            for each in found:
                del expected[each]

    asyncio.run(check())


@given(period=st.floats(0.1, 60), seed=st.integers(0, 99))
def test_jitter_is_half_a_second_at_most_and_keeps_the_period_positive(period, seed) -> None:
    got = jittered(period, Random(seed))
    assert abs(got - period) <= 0.5
    assert got > 0
