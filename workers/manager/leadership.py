"""Lead while the lease is held: the leader's components run in one TaskGroup, or not at all."""

import asyncio
from collections.abc import Callable, Sequence

from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import Store
from workers.manager.components import Component

log = get_logger(__name__)


class Leadership:
    """Holds the lease, again and again; while it does, runs the components."""

    def __init__(self, store: Store, components: Callable[[], Sequence[Component]]) -> None:
        self._store = store
        self._components = components

    async def run(self) -> None:
        """Campaign and lead, until cancelled.

        A component that fails ends the manager: the parent restarts it, which is simpler than a
        leader that lacks a part.
        """
        while True:
            async with self._store.lead():
                components = self._components()
                log.info("this manager leads", extra=fields(components=len(components)))
                lost = self._store.lease.lost
                try:
                    await self._lead(components, lost)
                except* SwarmError as failed:
                    if not lost.is_set():
                        raise
                    # What they still wrote was refused, as it has to be.
                    log.info("a part ended with the lead", extra=fields(error=failed.exceptions[0]))
            log.warning("this manager leads no more")

    async def _lead(self, components: Sequence[Component], lost: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(one.run(), name=type(one).__name__) for one in components]
            await lost.wait()
            for task in running:
                task.cancel()
