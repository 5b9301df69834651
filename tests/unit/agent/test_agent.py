"""How long an agent waits before it tries again."""

import asyncio
import itertools
import random

import pytest

from swarmd import api
from swarmd.errors import (
    NotFoundError,
    PermissionDeniedError,
    SwarmError,
    UnauthenticatedError,
    UnavailableError,
)
from tests.fakes.clock import FakeClock
from workers.agent.agent import Agent
from workers.agent.remotes import Remote, Remotes
from workers.agent.reporter import Reporter


class Managers:
    """None of them answers; remembers when each was tried."""

    def __init__(self, clock: FakeClock, error: SwarmError) -> None:
        self.clock = clock
        self.error = error
        self.tried: list[tuple[float, str]] = []

    def dial(self, address: str):
        self.tried.append((self.clock.monotonic(), address))
        raise self.error


async def describe() -> api.NodeDescription:
    return api.NodeDescription()


async def configure(node: api.Node) -> None:
    pass


async def tries(managers: Managers, remotes: Remotes, seconds: float, path) -> list[float]:
    """When they were tried, with the pauses in between, over that many seconds."""
    agent = Agent(
        dial=managers.dial,
        describe=describe,
        configure=configure,
        hear=lambda _: None,
        tasks=None,
        reporter=Reporter(managers.clock, random.Random(0)),
        remotes=remotes,
        peers=path,
        clock=managers.clock,
        random=random.Random(0),
    )
    running = asyncio.create_task(agent.run())
    while True:
        await managers.clock.wait_sleepers()
        pause = managers.clock.next_deadline - managers.clock.monotonic()
        if managers.clock.monotonic() + pause > seconds:
            break
        managers.clock.advance(seconds=pause)
        for _ in range(10):
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    moments = [moment for moment, _ in managers.tried]
    return [after - before for before, after in itertools.pairwise(moments)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def remotes() -> Remotes:
    return Remotes(random.Random(0), [Remote("m", "10.0.0.1:4242")])


async def test_a_lost_manager_is_tried_quickly_at_first_then_patiently(
    clock, remotes, tmp_path
) -> None:
    pauses = await tries(Managers(clock, UnavailableError("gone")), remotes, 120, tmp_path / "s")
    assert all(0.1 <= pause <= 0.2 for pause in pauses[:15])
    assert all(4 <= pause <= 8.0001 for pause in pauses[-5:])


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotFoundError("node", "n"), "does not know this node: was it removed?"),
        (PermissionDeniedError("node n was removed from the cluster"), "node was removed"),
        (UnauthenticatedError("it ran out"), "does not accept this node's certificate"),
    ],
)
async def test_a_refused_node_says_so_once_and_hardly_tries(
    clock, remotes, tmp_path, caplog, *, error, words
) -> None:
    pauses = await tries(Managers(clock, error), remotes, 600, tmp_path / "s")
    assert all(30 <= pause <= 60 for pause in pauses[7:])
    assert 1 == sum(words in record.message for record in caplog.records)


async def test_every_manager_is_tried(clock, tmp_path) -> None:
    remotes = Remotes(random.Random(0), [Remote(each, f"{each}:4242") for each in "abc"])
    managers = Managers(clock, UnavailableError("gone"))
    await tries(managers, remotes, 30, tmp_path / "s")
    assert {"a:4242", "b:4242", "c:4242"} == {address for _, address in managers.tried}


async def test_without_a_manager_it_waits_for_one(clock, tmp_path) -> None:
    remotes = Remotes(random.Random(0))
    managers = Managers(clock, UnavailableError("gone"))
    running = asyncio.create_task(tries(managers, remotes, 1, tmp_path / "s"))
    await asyncio.sleep(0)
    remotes.prefer(["127.0.0.1:4242"])
    await running
    assert {"127.0.0.1:4242"} == {address for _, address in managers.tried}
