"""The Journal service: lists entries, and lets them be watched."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

from swarmd.api.protos.journal_pb2 import (
    JournalEntry,
    JournalPage,
    ListJournalRequest,
    ListJournalResponse,
    WatchJournalRequest,
    WatchJournalResponse,
)
from swarmd.api.protos.journal_pb2_grpc import JournalServicer
from swarmd.errors import InvalidArgumentError
from swarmd.store import Committed, Created, Event, Select, Store, Updated
from workers.manager.journal import reading

LIMIT: Final = 100
MOST: Final = 1_000


class JournalApi(JournalServicer):
    """Answers from the store's pages."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def ListJournal(self, request: ListJournalRequest, context: Any) -> ListJournalResponse:
        if sum(map(bool, (request.service_id, request.node_id, request.task_id))) > 1:
            raise InvalidArgumentError("give a service, a node or a task, not several of them")
        found = await self._found(request)
        limit = min(request.limit or LIMIT, MOST)
        return ListJournalResponse(entries=found[-limit:], more=len(found) > limit)

    async def WatchJournal(
        self, request: WatchJournalRequest, context: Any
    ) -> AsyncIterator[WatchJournalResponse]:
        resume_from = request.resume_from or None
        pages = Select(JournalPage, {Created, Updated})
        async with self._store.watch(pages, resume_from=resume_from) as watcher:
            yield WatchJournalResponse(version=self._store.version)
            async for events in watcher:
                for reply in replies(events, request):
                    yield reply

    async def _found(self, request: ListJournalRequest) -> Sequence[JournalEntry]:
        tx = self._store.view()
        if request.service_id:
            return reading.of_service(tx, request.service_id)
        if request.node_id:
            return reading.of_node(tx, request.node_id)
        task = tx.tasks.get(request.task_id) if request.task_id else None
        if task is not None and task.service_id:
            entries = reading.of_service(tx, task.service_id)
            return reading.of_task(entries, request.task_id, task)
        # All there is: too long for the loop. What is stored never changes, so a thread may read.
        everything = await asyncio.to_thread(reading.in_order, tx.journal.find())
        if not request.task_id:
            return everything
        return await asyncio.to_thread(reading.of_task, everything, request.task_id, None)


def replies(
    events: Sequence[Event], request: WatchJournalRequest
) -> Iterator[WatchJournalResponse]:
    """One for each transaction that wrote entries which were asked for."""
    reply = WatchJournalResponse()
    for event in events:
        if isinstance(event, Committed):
            if reply.entries:
                reply.version = event.version
                yield reply
            reply = WatchJournalResponse()
        else:
            known = len(event.old.entries) if isinstance(event, Updated) else 0
            fresh = list(event.object.entries)[known:]
            reply.entries.extend(one for one in fresh if _is_asked_for(one, request))


def _is_asked_for(entry: JournalEntry, request: WatchJournalRequest) -> bool:
    if request.service_id and entry.service_id != request.service_id:
        return False
    return not request.node_id or reading.is_of_node(entry, request.node_id)
