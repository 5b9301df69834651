"""Many simulated nodes in this process."""

import asyncio
import contextlib
import itertools
import resource
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Self

from bench.fleet.agent import Agent
from bench.fleet.behaviour import RUNNING, Behaviour
from bench.fleet.enrolment import enrol, root_of


class Fleet:
    """Nodes of the cluster whose manager listens at `address`; they leave with the block.

    With `further` managers, each node keeps to one of them all, in turn. They vanish without a
    word: whoever goes on with the cluster removes them.
    """

    def __init__(
        self,
        address: str,
        token: str,
        random: Random | None = None,
        further: Sequence[str] = (),
    ) -> None:
        self.agents: list[Agent] = []
        self._address = address
        self._addresses = itertools.cycle([address, *further])
        self._token = token
        self._random = random or Random(0)
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        _allow_many_connections()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.lose(len(self.agents))

    async def join(
        self, count: int, behaviour: Behaviour | None = None, *, trusting: bool = False
    ) -> list[Agent]:
        """So many more, all at once, each registered; a `trusting` one is given the root CA."""
        root = await root_of(self._address, self._token) if trusting else b""
        how = behaviour or Behaviour()
        async with asyncio.TaskGroup() as group:
            joins = [group.create_task(self._join(how, root)) for _ in range(count)]
        return [one.result() for one in joins]

    async def lose(self, count: int) -> list[Agent]:
        """The first so many are gone, as if their hosts had been switched off."""
        lost, self.agents = self.agents[:count], self.agents[count:]
        running, self._running = self._running[:count], self._running[count:]
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        return lost

    @property
    def told(self) -> Counter[int]:
        """How many assigned tasks are in each state, by what the nodes reported last."""
        return Counter(state for agent in self.agents for state in agent.told.values())

    @property
    def running(self) -> int:
        return self.told[RUNNING]

    @property
    def losses(self) -> Counter[str]:
        """How many sessions broke, by reason."""
        return Counter(reason for agent in self.agents for reason in agent.losses)

    async def wait_registered(self) -> None:
        """Every node has a session."""
        await asyncio.gather(*(agent.registered.wait() for agent in self.agents))

    async def _join(self, how: Behaviour, root: bytes) -> Agent:
        chance = Random(self._random.random())
        certificates = await enrol(self._address, self._token, chance, root)
        agent = Agent(next(self._addresses), certificates, how, chance)
        self._running.append(asyncio.get_running_loop().create_task(agent.run()))
        self.agents.append(agent)
        await agent.registered.wait()
        return agent


def _allow_many_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
