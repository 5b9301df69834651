"""Notes that are alike become one entry (pure).

Ten thousand tasks that are placed at once are one line to a reader, and one row in the store.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from swarmd.api import times
from swarmd.api.protos.journal_pb2 import JournalEntry

MOST_NAMED: Final = 50  # tasks of an entry; of more, the count is kept
MOST_KINDS: Final = 100  # entries of one owner in one go; what is beyond shares one
WHY_LENGTH: Final = 300
VARIOUS: Final = "for various reasons"


class Note(NamedTuple):
    """One decision; about a task, or else about its service or its node itself."""

    what: str
    why: str = ""
    service_id: str = ""
    service_name: str = ""
    node_id: str = ""  # of a task too, where the node is the reason
    task_id: str = ""
    slot: int = 0
    task_node_id: str = ""
    successor_id: str = ""

    @property
    def owner_id(self) -> str:
        """Whose entries these are."""
        return self.service_id or self.node_id or self.task_node_id


Key = tuple[str, str, str, str]


class Gathering:
    """What was noted since the last time it was taken; of bounded size, whatever happens."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[Key, JournalEntry]] = {}

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, notes: Iterable[Note], now: float) -> None:
        for note in notes:
            self._add(note, now)

    def take(self) -> dict[str, list[JournalEntry]]:
        """The entries by owner, in the order of their first notes; it is empty then."""
        taken, self._entries = self._entries, {}
        return {owner: list(entries.values()) for owner, entries in taken.items()}

    def _add(self, note: Note, now: float) -> None:
        mine = self._entries.setdefault(note.owner_id, {})
        key = (note.what, note.why, note.service_id, note.node_id)
        if key not in mine and len(mine) >= MOST_KINDS:
            key = (note.what, VARIOUS, note.service_id, "")
        entry = mine.get(key)
        if entry is None:
            entry = mine[key] = _entry(note, key, now)
        if note.task_id:
            entry.task_count += 1
            if entry.task_count <= MOST_NAMED:
                entry.tasks.add(
                    id=note.task_id,
                    slot=note.slot,
                    node_id=note.task_node_id,
                    successor_id=note.successor_id,
                )


def _entry(note: Note, key: Key, now: float) -> JournalEntry:
    what, why, service_id, node_id = key
    return JournalEntry(
        at=times.timestamp(now),
        what=what,
        why=why[:WHY_LENGTH],
        service_id=service_id,
        service_name=note.service_name,
        node_id=node_id,
    )
