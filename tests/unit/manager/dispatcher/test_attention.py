"""A manager that is late itself takes no node for lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from swarmd.errors import UnavailableError
from tests.fakes.clock import FakeClock
from tests.unit.manager.dispatcher.agents import DOWN, READY, Cluster, turn
from workers.manager.dispatcher.attention import Attention


@pytest.fixture
async def attentive(cluster: Cluster) -> AsyncIterator[Cluster]:
    """A cluster whose dispatcher notices when its loop is late."""
    work = asyncio.create_task(cluster.dispatcher.attention.run())
    await turn()
    yield cluster
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def pass_time(cluster: Cluster, seconds: float) -> None:
    """In steps that a loop in time would take."""
    for _ in range(round(seconds * 2)):
        cluster.clock.advance(seconds=0.5)
        await turn()


def state(cluster: Cluster) -> int:
    return cluster.node("n1").status.state


async def test_time_in_which_the_loop_stood_still_is_not_silence(attentive: Cluster) -> None:
    await (await attentive.agent()).register()
    attentive.clock.advance(seconds=60)  # nothing ran meanwhile, no heartbeat could be taken
    await turn()
    await pass_time(attentive, 10)
    assert READY == state(attentive)


async def test_node_that_is_silent_after_the_loop_stood_still_is_down_in_time(
    attentive: Cluster,
) -> None:
    await (await attentive.agent()).register()
    attentive.clock.advance(seconds=60)
    await turn()
    await pass_time(attentive, 17)
    await attentive.wait(lambda: state(attentive) == DOWN)


async def test_heartbeat_that_waits_to_be_taken_keeps_its_node(cluster: Cluster) -> None:
    """It came in time: the manager takes it before it judges."""
    agent = await cluster.agent()
    await agent.register()

    async def take_what_waits() -> None:
        await agent.beat()

    cluster.dispatcher.attention.hear = take_what_waits
    await cluster.pass_time(40)
    assert READY == state(cluster)


async def test_node_gets_more_time_while_calls_wait_long(cluster: Cluster) -> None:
    """Whoever gave a call up meanwhile has to come back first."""
    await (await cluster.agent()).register()
    calls = iter([5.0, 0.0])

    async def hear() -> None:
        await cluster.clock.sleep(next(calls))

    cluster.dispatcher.attention.hear = hear
    await cluster.pass_time(24)
    assert READY == state(cluster)
    await cluster.pass_time(10)
    await cluster.wait(lambda: state(cluster) == DOWN)


async def test_nobody_is_judged_while_it_cannot_be_known_what_waits() -> None:
    async def hear() -> None:
        raise UnavailableError("the server stops")

    clock = FakeClock()
    attention = Attention(clock, hear)
    assert not await attention.catch_up()
    assert -1.0 == attention.now()


@pytest.mark.parametrize("call", ["Assignments", "Tasks", "UpdateTaskStatus"])
async def test_any_call_of_its_session_is_a_sign_of_life(cluster: Cluster, call: str) -> None:
    agent = await cluster.agent()
    await agent.register()
    for _ in range(4):
        await cluster.pass_time(8)
        if call == "UpdateTaskStatus":
            await agent.report()
        else:
            stream = agent.streams(call)
            await anext(stream)
            await stream.aclose()
    assert READY == state(cluster)
