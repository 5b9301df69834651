"""Which pages are kept (pure): the newest, by count and bytes, for each owner and over all.

So a service that crashes for ever pushes out its own past alone, and the journal as a whole stays
small beside the objects that it tells of.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from swarmd.api.protos.journal_pb2 import JournalEntry, JournalPage

OWNER_ENTRIES: Final = 1_000
OWNER_BYTES: Final = 128 << 10
ALL_ENTRIES: Final = 50_000
ALL_BYTES: Final = 8 << 20
PAGE_BYTES: Final = 4 << 10  # a page that is smaller is written on


@dataclass(slots=True)
class _Sum:
    """The pages of one owner, or of all, the oldest first."""

    pages: deque[str] = field(default_factory=deque)
    entries: int = 0
    bytes: int = 0

    def exceeds(self, entries: int, size: int) -> bool:
        """The newest page stays, whatever its size."""
        return len(self.pages) > 1 and (self.entries > entries or self.bytes > size)


class Ledger:
    """The size of every page that is kept."""

    def __init__(self, pages: Iterable[JournalPage]) -> None:
        self._sizes: dict[str, tuple[str, int, int]] = {}  # owner, entries, bytes
        self._owners: dict[str, _Sum] = {}
        self._all = _Sum()
        for page in sorted(pages, key=lambda page: page.meta.created_at.ToNanoseconds()):
            self.put(page)

    def put(self, page: JournalPage) -> None:
        """A page that was made, or written on."""
        known = self._sizes.get(page.id)
        size = (page.owner_id, len(page.entries), page.ByteSize())
        self._sizes[page.id] = size
        owner = self._owners.setdefault(page.owner_id, _Sum())
        for each in (owner, self._all):
            each.entries += size[1] - (known[1] if known else 0)
            each.bytes += size[2] - (known[2] if known else 0)
            if known is None:
                each.pages.append(page.id)

    def last(self, owner_id: str) -> str | None:
        """The owner's newest page, if that has room."""
        owner = self._owners.get(owner_id)
        if owner is None or not owner.pages:
            return None
        page_id = owner.pages[-1]
        return page_id if self._sizes[page_id][2] < PAGE_BYTES else None

    def surplus(self, owner_ids: Iterable[str]) -> list[str]:
        """The pages that are too many, of these owners and over all; they count no longer."""
        dropped: list[str] = []
        for owner in filter(None, map(self._owners.get, owner_ids)):
            while owner.exceeds(OWNER_ENTRIES, OWNER_BYTES):
                dropped.append(self._drop(owner.pages[0]))
        while self._all.exceeds(ALL_ENTRIES, ALL_BYTES):
            dropped.append(self._drop(self._all.pages[0]))
        return dropped

    def _drop(self, page_id: str) -> str:
        owner_id, entries, size = self._sizes.pop(page_id)
        owner = self._owners[owner_id]
        for each in (owner, self._all):
            each.entries -= entries
            each.bytes -= size
            each.pages.remove(page_id)
        if not owner.pages:
            del self._owners[owner_id]
        return page_id


def split(entries: Sequence[JournalEntry]) -> Iterator[list[JournalEntry]]:
    """Entries for one page each, so that none is much larger than a page is to be."""
    chunk: list[JournalEntry] = []
    size = 0
    for entry in entries:
        chunk.append(entry)
        size += entry.ByteSize()
        if size >= PAGE_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
