"""Lead while the lease is held: the leader's components run in one TaskGroup, or not at all."""

import asyncio
from collections.abc import Sequence

from swarmd.logs import fields, get_logger
from swarmd.store import Lease
from workers.manager.components import Component

log = get_logger(__name__)


class Leadership:
    """Holds the lease, again and again; while it does, runs the components it was given."""

    def __init__(self, lease: Lease, components: Sequence[Component]) -> None:
        self._lease = lease
        self._components = components
        self.leads = asyncio.Event()
        """Set while this manager is the leader."""

    async def run(self) -> None:
        """Campaign and lead, until cancelled. A component that fails ends the manager: the worker
        is restarted, which is simpler than a leader that lacks a part.
        """
        while True:
            async with self._lease.hold() as lost:
                log.info("this manager leads", extra=fields(components=len(self._components)))
                self.leads.set()
                try:
                    await self._lead_until(lost)
                finally:
                    self.leads.clear()
            log.warning("this manager leads no more")

    async def _lead_until(self, lost: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(one.run(), name=type(one).__name__) for one in self._components
            ]
            await lost.wait()
            for task in running:
                task.cancel()
