"""All orchestrators of one leader, as one component."""

import asyncio
from random import Random

from swarmd.clock import Clock
from swarmd.store import Store
from workers.manager.orchestrators.global_services import GlobalServices
from workers.manager.orchestrators.jobs import Jobs
from workers.manager.orchestrators.loop import Loop
from workers.manager.orchestrators.removals import Removals
from workers.manager.orchestrators.replicated import Replicated
from workers.manager.orchestrators.restart_governor import RestartGovernor
from workers.manager.orchestrators.restarts import DelayedStarts
from workers.manager.orchestrators.updater import Updater


class Orchestrator:
    """Keeps the tasks in the store as the services ask for them."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        updater = Updater(store, clock, random)
        self._loops: list[Loop] = [
            Removals(store, clock, random),
            DelayedStarts(store, clock, random),
            RestartGovernor(store, clock, random),
            updater,
            Replicated(store, clock, random, updater),
            GlobalServices(store, clock, random, updater),
            Jobs(store, clock, random),
        ]

    async def run(self) -> None:
        """Take up what is in the store, and go on until cancelled."""
        async with asyncio.TaskGroup() as group:
            for loop in self._loops:
                group.create_task(loop.run(), name=str(loop))
