"""What the orchestrators have in common: look at everything once, then at what changed.

    class Replicated(Loop):
        selects()    what to watch
        look()       note all that is to be done, from the store: a new leader starts so
        note(event)  note what this change asks for
        act()        do what is noted, in batches, through `commit`

Between look and the first event nothing is lost. An overrun of the queue begins it again, and so
does a change that was refused: what is left to do is then read from the store, after a back-off.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from swarmd import api
from swarmd.api import defaults
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import Event, ReadTx, Select, Store, Watcher, WatchOverflowError, WriteTx, by

log = get_logger(__name__)
Change = Callable[[WriteTx], Any]
_FIRST_RETRY_SECONDS: Final = 0.1
_RETRY_CEILING_SECONDS: Final = 10.0


class Loop(ABC):
    """One level-triggered loop over the store."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self.store = store
        self.clock = clock
        self.random = random
        self._backoff = Backoff(_FIRST_RETRY_SECONDS, _RETRY_CEILING_SECONDS, random)
        self._again = False

    async def run(self) -> None:
        """Keep the store as it should be, until cancelled."""
        while True:
            try:
                async with self.store.watch(*self.selects()) as watcher:
                    await self.look()
                    await self.serve(watcher)
            except WatchOverflowError:
                log.warning("too many changes at once: looking again", extra=fields(loop=self))

    async def serve(self, watcher: Watcher) -> None:
        await self._act()
        async for events in watcher:
            for event in events:
                self.note(event)
            await self._act()

    async def commit(self, changes: Sequence[Change]) -> list[Any]:
        """Make the changes; what is refused is tried again once the back-off ran."""
        results = await self.store.batch(changes) if changes else []
        refused = [result for result in results if isinstance(result, SwarmError)]
        if not refused:
            self._backoff.reset()
            return results
        seconds = self._backoff.next()
        told = fields(loop=self, changes=len(refused), reason=refused[0], retry_seconds=seconds)
        log.warning("changes were refused", extra=told)
        await self.clock.sleep(seconds)
        await self.look()
        self.wake()
        return results

    def wake(self) -> None:
        """Act once more, without waiting for a change."""
        self._again = True

    async def _act(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            await self.act()

    @abstractmethod
    def selects(self) -> Sequence[Select[Any]]:
        """What to watch."""

    @abstractmethod
    async def look(self) -> None:
        """Note all that is to be done, from the store as it is; what changes meanwhile is news."""

    @abstractmethod
    def note(self, event: Event) -> None:
        """Note what this change asks for."""

    @abstractmethod
    async def act(self) -> None:
        """Do what is noted."""

    def __str__(self) -> str:
        return type(self).__name__


class TimedLoop(Loop):
    """A loop that acts at certain times too."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        super().__init__(store, clock, random)
        self.due = asyncio.Event()

    async def run(self) -> None:
        """Keep the store as it should be, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_time())
            await super().run()

    async def serve(self, watcher: Watcher) -> None:
        self.wake()
        async for events in watcher:
            for event in events:
                self.note(event)
            self.wake()

    def wake(self) -> None:
        """Act once more, without waiting for a change."""
        self.due.set()

    async def _keep_time(self) -> None:
        while True:
            await self.wait_due()
            self.due.clear()
            await self.act()

    @abstractmethod
    async def wait_due(self) -> None:
        """Return when `due` is set, or when it is time to act."""


def the_cluster(tx: ReadTx) -> api.Cluster | None:
    """The one there is; None before it was made."""
    found = tx.clusters.find(by.name(defaults.CLUSTER_NAME))
    return found[0] if found else None
