"""Journal.run: watches what is decided, gathers it for a moment, and writes it down."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random
from typing import Any, Final

from swarmd import api, ids
from swarmd.api.protos.governor_pb2 import Breaker
from swarmd.api.protos.journal_pb2 import JournalEntry, JournalPage
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import Committed, Event, ReadTx, Select, Store, WatchOverflowError, WriteTx
from workers.manager.journal import other_notes, task_notes
from workers.manager.journal.entries import Gathering, Note
from workers.manager.journal.pages import Ledger, split

log = get_logger(__name__)
GATHER_SECONDS: Final = 0.1
LOST: Final = Note("lost track", "too many changes at once: some decisions are missing here")
Change = Callable[[WriteTx], JournalPage]


class Journal:
    """The leader's: it alone writes pages."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._backoff = Backoff(GATHER_SECONDS, 10.0, random)
        self._gathering = Gathering()
        self._some = asyncio.Event()
        self._ledger = Ledger(())

    async def run(self) -> None:
        """Write down what is decided, until cancelled."""
        self._ledger = Ledger(self._store.view().journal.find())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_for_ever())
            while True:
                try:
                    await self._follow()
                except WatchOverflowError:
                    log.warning("too many changes at once: the journal misses some")
                    self._note([LOST])

    async def _follow(self) -> None:
        async with self._store.watch(
            Select(api.Task, where=task_notes.matters),
            Select(api.Node, where=other_notes.node_matters),
            Select(api.Service),
            Select(Breaker),
        ) as watcher:
            async for events in watcher:
                self._note(told(events, self._store.view()))

    def _note(self, notes: Iterable[Note]) -> None:
        self._gathering.add(notes, self._clock.now())
        if self._gathering:
            self._some.set()

    async def _write_for_ever(self) -> None:
        while True:
            await self._some.wait()
            await self._clock.sleep(GATHER_SECONDS)
            self._some.clear()
            await self._write(self._gathering.take())

    async def _write(self, gathered: dict[str, list[JournalEntry]]) -> None:
        """Add these entries; what is refused is tried again until it is written."""
        left = [
            (owner, chunk, number == 0)
            for owner, entries in gathered.items()
            for number, chunk in enumerate(split(entries))
        ]
        while left:
            results = await self._store.batch([self._added(*one) for one in left])
            self._count(results)
            left = [
                one
                for one, result in zip(left, results, strict=True)
                if isinstance(result, SwarmError)
            ]
            if left:
                await self._wait(results)
        self._backoff.reset()
        await self._forget(self._ledger.surplus(gathered))

    def _count(self, results: Iterable[JournalPage | SwarmError]) -> None:
        for result in results:
            if not isinstance(result, SwarmError):
                self._ledger.put(result)

    def _added(self, owner_id: str, entries: Sequence[JournalEntry], goes_on: bool) -> Change:
        """A new page with these entries, or the owner's last one, if it has room and `goes_on`."""
        last = self._ledger.last(owner_id) if goes_on else None
        new_id = ids.new_id(self._random)

        def change(tx: WriteTx) -> JournalPage:
            if last is not None and tx.journal.get(last) is not None:
                page = tx.journal.copy(last)
                page.entries.extend(entries)
                return tx.journal.update(page)
            return tx.journal.create(JournalPage(id=new_id, owner_id=owner_id, entries=entries))

        return change

    async def _forget(self, page_ids: Iterable[str]) -> None:
        results = await self._store.batch([partial(forget, page_id=one) for one in page_ids])
        refused = [result for result in results if isinstance(result, SwarmError)]
        if refused:  # they are counted again by the next leader
            log.warning("old pages were not forgotten", extra=fields(reason=refused[0]))

    async def _wait(self, results: Iterable[JournalPage | SwarmError]) -> None:
        seconds = self._backoff.next()
        reason = next(one for one in results if isinstance(one, SwarmError))
        told_ = fields(reason=reason, retry_seconds=seconds)
        log.warning("the journal cannot be written", extra=told_)
        await self._clock.sleep(seconds)


def told(events: Iterable[Event], tx: ReadTx) -> Iterable[Note]:
    """What these events say; those of one transaction are read together."""
    of_tasks: list[Any] = []
    for event in events:
        if isinstance(event, Committed):
            yield from task_notes.notes(of_tasks, tx)
            of_tasks = []
        elif isinstance(event.object, api.Task):
            of_tasks.append(event)
        elif isinstance(event.object, api.Service):
            yield from other_notes.of_service(event)
        elif isinstance(event.object, api.Node):
            yield from other_notes.of_node(event)
        else:
            yield from other_notes.of_breaker(event, tx.services.get(event.object.id))


def forget(tx: WriteTx, page_id: str) -> None:
    """Delete the page, if it is there still."""
    if tx.journal.get(page_id) is not None:
        tx.journal.delete(page_id)
