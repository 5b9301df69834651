"""What etcd's write-ahead log (swarmd.store.etcd.wal) says comes after a snapshot."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import DecodeError

from swarmd.api.protos.raftlog_pb2 import LogHardState, LogSnapshot
from swarmd.api.protos.raftpb_pb2 import Entry
from swarmd.errors import CorruptStateError
from swarmd.store.etcd import wal

_M = TypeVar("_M", Entry, LogHardState, LogSnapshot)


@dataclass(slots=True)
class RaftLog:
    """What comes after a snapshot; `torn` says where a last record was not whole, if it was not,
    and how much the file has from there on.
    """

    metadata: bytes = b""
    """Whose it is, in its owner's own form."""
    entries: list[Entry] = field(default_factory=list)
    committed: int = 0
    """The highest index that this member knew to be committed."""
    torn: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a snapshot stands in the log; 0, 0 is its beginning."""

    index: int
    term: int


def read_log(directory: Path, start: Position) -> RaftLog:
    """All that is behind `start`; raises CorruptStateError, naming file and offset."""
    try:
        return _read(directory, start)
    except wal.DamagedLogError as error:
        raise damaged(error.place, error.why) from error


def _read(directory: Path, start: Position) -> RaftLog:
    log, end = RaftLog(), wal.End()
    snapshot_seen = False
    for record in wal.records(wal.segments(directory, start.index), end):
        if record.type == wal.ENTRY:
            _append(log, _parsed(Entry, record), start.index, record.place)
        elif record.type == wal.STATE:
            log.committed = _parsed(LogHardState, record).commit
        elif record.type == wal.SNAPSHOT:
            found = _parsed(LogSnapshot, record)
            if found.index == start.index:
                snapshot_seen = True
                if found.term != start.term:
                    raise damaged(record.place, "it names another snapshot of that index")
        elif record.type == wal.METADATA:
            log.metadata = record.data
        else:
            raise damaged(record.place, f"a record is of the unknown type {record.type}")
    log.torn = end.torn
    if not snapshot_seen:
        raise damaged(str(directory), f"the log does not know the snapshot of index {start.index}")
    return log


def damaged(place: str, why: str) -> CorruptStateError:
    """The error for a source that cannot be trusted, with the ways out."""
    return CorruptStateError(
        f"{place} is damaged: {why}. Nothing was imported or changed: take the directory of another"
        " manager of that swarm, or a backup of this one"
    )


def _append(log: RaftLog, entry: Entry, start: int, place: str) -> None:
    """A later entry of an index takes the place of that one and of all behind it."""
    if entry.Index <= start:
        return
    offset = entry.Index - start - 1
    if offset > len(log.entries):
        raise damaged(place, f"entries are missing before index {entry.Index}")
    del log.entries[offset:]
    log.entries.append(entry)


def _parsed(kind: type[_M], record: wal.Record) -> _M:
    try:
        return kind.FromString(record.data)
    except DecodeError as error:
        raise damaged(record.place, "a record cannot be read") from error
