"""The end of a member's log: what it has, and has not heard to be committed.

A follower hears that an entry is committed a moment after it said that it has it. With the others
gone it never does, and etcd, forced to go on alone, drops the entry: the last writes, which were
acknowledged because this member had them. So before that, the log is told that all of it is
committed. Some of it may never have been acknowledged; whose write that was, was told that it may
have happened.

Two changes of membership are made harmless on the way, as this member is to be the only one: its
own removal becomes an empty entry, and where it only learns, it has a vote from here on.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from google.protobuf.message import DecodeError

from swarmd.api.protos import raftpb_pb2 as raftpb
from swarmd.api.protos.raftlog_pb2 import LogHardState, LogOwner, LogSnapshot
from swarmd.store.etcd import wal

_M = TypeVar("_M", raftpb.Entry, raftpb.ConfChange, LogHardState, LogOwner, LogSnapshot)
_NEWEST: Final = (1 << 64) - 1
_Records = Sequence[tuple[int, bytes]]


@dataclass(slots=True)
class Log:
    """A member's log from about the last entry on that it knows to be committed."""

    end: wal.End = field(default_factory=wal.End)
    owner: int = 0
    state: LogHardState = field(default_factory=LogHardState)
    snapshot: int = 0
    entries: dict[int, raftpb.Entry] = field(default_factory=dict)
    """By index."""

    @property
    def last(self) -> int:
        """The index up to which it goes."""
        return max((self.state.commit, *self.entries))

    @property
    def unheard(self) -> list[raftpb.Entry]:
        """What it has, and does not know to be committed."""
        return [self.entries[one] for one in sorted(self.entries) if one > self.state.commit]


def read(directory: Path) -> Log:
    """The log of a member that does not run; raises wal.DamagedLogError, or OSError."""
    newest = wal.segments(directory, _NEWEST)
    log = _parsed_log(newest)
    needed = wal.segments(directory, log.state.commit + 1)
    return log if len(needed) <= len(newest) else _parsed_log(needed)


def commit_all(log: Log) -> None:
    """Have it say that everything in it is committed; once more is no harm.

    Raises OSError.
    """
    wal.append(log.end, list(_closing(log)))


def _closing(log: Log) -> Iterator[tuple[int, bytes]]:
    """The records that do it: entries again from the first that changes on, a vote, the state."""
    unheard = log.unheard
    if log.snapshot > log.state.commit:
        unheard = []  # they are from before what it was just being sent
    changed = [one.Index for one in unheard if _removes(one, log.owner)]
    for entry in unheard:
        if changed and entry.Index >= changed[0]:
            blank = raftpb.Entry(Type=raftpb.EntryNormal, Term=entry.Term, Index=entry.Index)
            kept = blank if entry.Index in changed else entry
            yield wal.ENTRY, kept.SerializeToString()
    index = (unheard[-1].Index if unheard else log.state.commit) + 1
    term = max([log.state.term, *(one.Term for one in unheard)])
    yield wal.ENTRY, _vote(log.owner, term, index).SerializeToString()
    vote = log.state.vote if term == log.state.term else 0
    state = LogHardState(term=term, vote=vote, commit=index)
    yield wal.STATE, state.SerializeToString()


def _vote(owner: int, term: int, index: int) -> raftpb.Entry:
    """The entry that makes a learner a voter; etcd passes it over where it is one."""
    context = json.dumps({"id": owner, "isPromote": True}).encode()
    change = raftpb.ConfChange(
        id=0, type=raftpb.ConfChangeAddNode, node_id=owner, context=context
    ).SerializeToString()
    return raftpb.Entry(Type=raftpb.EntryConfChange, Term=term, Index=index, Data=change)


def _removes(entry: raftpb.Entry, owner: int) -> bool:
    if entry.Type != raftpb.EntryConfChange:
        return False
    change = raftpb.ConfChange.FromString(entry.Data)
    return change.type == raftpb.ConfChangeRemoveNode and change.node_id == owner


def _parsed_log(paths: Sequence[Path]) -> Log:
    log = Log()
    for record in wal.records(paths, log.end):
        if record.type == wal.METADATA:
            log.owner = _parsed(LogOwner, record).member
        elif record.type == wal.STATE:
            log.state = _parsed(LogHardState, record)
        elif record.type == wal.SNAPSHOT:
            log.snapshot = max(log.snapshot, _parsed(LogSnapshot, record).index)
        elif record.type == wal.ENTRY:
            _take(log, _parsed(raftpb.Entry, record))
    return log


def _take(log: Log, entry: raftpb.Entry) -> None:
    """A later entry of an index takes the place of that one and of all behind it."""
    for index in range(entry.Index, next(reversed(log.entries), 0) + 1):
        log.entries.pop(index, None)
    log.entries[entry.Index] = entry


def _parsed(kind: type[_M], record: wal.Record) -> _M:
    try:
        return kind.FromString(record.data)
    except DecodeError as error:
        raise wal.DamagedLogError(record.place, "a record cannot be read") from error
