"""A host: its power, its link, its disk, its processes, and the agent, which is the real one."""

import asyncio
from pathlib import Path
from random import Random
from typing import Final

from swarmd import api
from workers.agent.agent import Agent
from workers.agent.executors.choose import Engines
from workers.agent.remotes import Remote, Remotes
from workers.agent.reporter import Reporter
from workers.agent.task_set import TaskSet
from workers.simulation.clock import SimulatedClock
from workers.simulation.disk import Memory, SimulatedTaskDb
from workers.simulation.engine import Engine, Mood, Witness
from workers.simulation.network import Link, Network, Weather

_MANAGER: Final = Remote("manager", "10.0.0.9:4242")
_NO_DIRECTORY: Final = Path("no directory")


class Host:
    """One node of the cluster, as it really is."""

    def __init__(
        self,
        node: api.Node,
        *,
        network: Network,
        weather: Weather,
        mood: Mood,
        witness: Witness,
        random: Random,
    ) -> None:
        self.node_id = node.id
        self.name = node.description.hostname
        self.description = node.description
        self.clock = SimulatedClock()
        self.link = Link(random, weather)
        self.engine = Engine(node.id, mood, witness)
        self._memory = Memory()
        self._network = network
        self._random = random
        self._agent: asyncio.Task[None] | None = None
        self._lives = 0

    @property
    def is_up(self) -> bool:
        """Its agent runs."""
        return self._agent is not None and not self._agent.done()

    @property
    def is_reachable(self) -> bool:
        return self.is_up and self.link.whole

    def start(self) -> None:
        """Start the agent, with what its disk holds; nothing where it runs."""
        if not self.is_up:
            self._lives += 1
            name = f"agent {self.name}"
            self._agent = asyncio.get_running_loop().create_task(self._run(), name=name)

    def kill_agent(self) -> None:
        """The agent is gone in the middle of whatever it did; its processes go on."""
        if self._agent is not None:
            self._agent.cancel()
            self._agent = None

    def lose_power(self) -> None:
        self.kill_agent()
        self.engine.lose_power()

    async def _describe(self) -> api.NodeDescription:
        await self.engine.describe(description := _copy(self.description))
        return description

    async def _configure(self, node: api.Node) -> None:
        """Nothing here depends on what the cluster says of the node."""

    async def _run(self) -> None:
        clock, random = self.clock, self._random
        reporter = Reporter(clock, random)
        async with SimulatedTaskDb(self._memory, clock, random) as db, asyncio.TaskGroup() as group:
            tasks = TaskSet(
                engines=Engines([self.engine]),
                db=db,
                reporter=reporter,
                directory=_NO_DIRECTORY,
                clock=clock,
                random=random,
            )
            agent = Agent(
                dial=lambda _: self._network.channel(self.link, self.node_id, "cluster"),  # type: ignore[arg-type,return-value]
                describe=self._describe,
                configure=self._configure,
                hear=lambda _: None,
                tasks=tasks,
                reporter=reporter,
                remotes=Remotes(random, [_MANAGER]),
                peers=_NO_DIRECTORY,
                clock=clock,
                random=random,
            )
            group.create_task(db.run())
            group.create_task(tasks.run())
            group.create_task(agent.run())


def _copy(description: api.NodeDescription) -> api.NodeDescription:
    copied = api.NodeDescription()
    copied.CopyFrom(description)
    return copied
