"""One seed: a small cluster, a user, faults for a while, then peace; and what came of it."""

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final

from swarmd import api
from swarmd.store import Row
from workers.simulation import convergence, specs
from workers.simulation.checker import Checker, Transition, Violation
from workers.simulation.disk import Disk
from workers.simulation.engine import Mood
from workers.simulation.faults import KINDS, Faults
from workers.simulation.host import Host
from workers.simulation.leader import ManyComponents, SimulatedManager
from workers.simulation.loop import StuckError, VirtualLoop
from workers.simulation.network import Network, Weather
from workers.simulation.user import User

PEACE_SECONDS: Final = 900.0
_LOOK_SECONDS: Final = 1.0
_USER_SECONDS: Final = 8.0
_FAULT_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a scenario is, and what may go wrong in it."""

    seconds: float = 60.0
    nodes: int = 3
    services: int = 3
    faults: Sequence[str] = tuple(KINDS)


@dataclass(slots=True)
class Outcome:
    """What became of one seed."""

    seed: int
    violation: Violation | None = None
    simulated_seconds: float = 0.0
    calls: int = 0
    commits: int = 0
    lives: int = 0
    holds: int = 0
    transitions: Counter[Transition] = field(default_factory=Counter)


class Scenario:
    """The world of one seed; `components` may be replaced, to see a bug caught."""

    def __init__(
        self,
        seed: int,
        plan: Plan,
        trace: Callable[[str], None] | None = None,
        components: ManyComponents | None = None,
    ) -> None:
        self.seed = seed
        self.plan = plan
        self._tell = trace
        self._components = components
        self._loop = VirtualLoop()  # type: ignore[abstract]  # nothing here asks for the rest

    def run(self) -> Outcome:
        """Live through it. The collector rests meanwhile: when it runs is nobody's decision."""
        outcome = Outcome(self.seed)
        logging.disable(logging.CRITICAL)
        collects = gc.isenabled()
        gc.disable()
        try:
            outcome.violation = self._loop.run(self._live(outcome))
        except StuckError as error:
            outcome.violation = Violation("alive", str(error), self._loop.time())
        finally:
            logging.disable(logging.NOTSET)
            if collects:
                gc.enable()
        outcome.simulated_seconds, outcome.calls = self._loop.time(), self._loop.calls
        return outcome

    def _trace(self, sentence: str) -> None:
        if self._tell is not None:
            self._tell(f"{self._loop.time():10.3f}  {sentence}")

    def _random(self, name: str) -> Random:
        """Chance of one part: what one draws moves no other."""
        return Random(f"{self.seed} {name}")  # noqa: S311  no secret comes of it

    async def _live(self, outcome: Outcome) -> Violation | None:
        disk, network = Disk(self._random("disk")), Network()
        checker = Checker(disk, self._trace)
        weather, mood = Weather(), Mood(self._random("tasks"))
        nodes = self._found(disk)

        def died(error: BaseException | None) -> None:
            self._trace("manager: died")
            if error is not None:
                checker.wrong("alive", f"the manager failed: {error!r}")

        manager = SimulatedManager(
            disk=disk,
            network=network,
            observer=checker,
            random=self._random("manager"),
            died=died,
        )
        if self._components is not None:
            manager.components = self._components
        random = self._random("hosts")
        make = partial(
            Host, network=network, weather=weather, mood=mood, witness=checker, random=random
        )
        hosts = {node.id: make(node) for node in nodes}
        user = User(lambda: manager.control, disk, self._random("user"), self._trace, checker.wrong)
        faults = Faults(
            hosts=hosts,
            manager=manager,
            disk=disk,
            weather=weather,
            mood=mood,
            user=user,
            random=self._random("faults"),
            trace=self._trace,
        )
        story = asyncio.ensure_future(self._story(faults, checker))
        ends: list[asyncio.Future[Violation | None]] = [story, checker.violated]  # type: ignore[list-item]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        violation = checker.violated.result() if checker.violated.done() else story.result()
        story.cancel()
        outcome.commits, outcome.lives = checker.commits, manager.lives
        outcome.holds = checker.holds
        outcome.transitions = checker.transitions
        manager.crash()
        for host in hosts.values():
            host.kill_agent()
        return violation

    def _found(self, disk: Disk) -> list[api.Node]:
        """Put the first objects on the disk: a cluster, and nodes that were accepted."""
        random = self._random("specs")
        nodes = [specs.node(random, number) for number in range(1, self.plan.nodes + 1)]
        first: list[tuple[str, Any]] = [("cluster", specs.cluster(random))]
        for kind, one in [*first, *(("node", node) for node in nodes)]:
            one.meta.version.index = 1
            disk.rows[kind, one.id] = Row(kind, one.id, 1, one.SerializeToString())
        disk.version = 1
        return nodes

    async def _story(self, faults: Faults, checker: Checker) -> Violation | None:
        faults.manager.start()
        for host in faults.hosts.values():
            host.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._use(faults.user))
            group.create_task(self._break(faults))
            group.create_task(self._revive(faults.manager))
        self._trace("peace: nothing fails from here on")
        await faults.heal()
        return await self._wait_converged(faults, checker)

    async def _use(self, user: User) -> None:
        random, loop = self._random("pace"), self._loop
        await asyncio.sleep(0.5)
        while loop.time() < self.plan.seconds:
            await user.act(self.plan.services)
            await asyncio.sleep(random.expovariate(1 / _USER_SECONDS))

    async def _break(self, faults: Faults) -> None:
        random, loop = self._random("fate"), self._loop
        async with asyncio.TaskGroup() as group:
            while self.plan.faults:
                await asyncio.sleep(random.expovariate(1 / _FAULT_SECONDS))
                if loop.time() >= self.plan.seconds:
                    break
                fault = KINDS[random.choice(self.plan.faults)]
                group.create_task(fault(faults))

    async def _revive(self, manager: SimulatedManager) -> None:
        """A manager that died at a commit is started again, sooner or later."""
        random, loop = self._random("revival"), self._loop
        while loop.time() < self.plan.seconds:
            await asyncio.sleep(random.uniform(0.1, 10))
            manager.start()

    async def _wait_converged(self, faults: Faults, checker: Checker) -> Violation | None:
        until = self._loop.time() + PEACE_SECONDS
        lacking: list[str] = []
        while self._loop.time() < until:
            await asyncio.sleep(_LOOK_SECONDS)
            running = {host.node_id: host.engine.running for host in faults.hosts.values()}
            lacking = list(convergence.lacks(checker.picture, running))
            if not lacking:
                self._trace("the cluster has converged")
                return None
        return Violation("converged", "; ".join(lacking), self._loop.time())


def replay_command(seed: int, plan: Plan) -> str:
    """What shows the same run again, event by event."""
    parts = [f"swarmd chaos --seed {seed} --trace"]
    usual = Plan()
    if plan.seconds != usual.seconds:
        parts.append(f"--duration {plan.seconds:g}s")
    if plan.nodes != usual.nodes:
        parts.append(f"--nodes {plan.nodes}")
    if plan.services != usual.services:
        parts.append(f"--services {plan.services}")
    if tuple(plan.faults) != tuple(usual.faults):
        parts.append(f"--faults {','.join(plan.faults) or 'none'}")
    return " ".join(parts)
