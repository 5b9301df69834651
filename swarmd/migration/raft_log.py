"""etcd's write-ahead log, read as etcd reads it.

A directory of segments, named <sequence>-<first index>.wal in hexadecimal, preallocated with zeros.
A segment is a run of frames:

    length, 8 bytes, little-endian    its top byte, where set: 0x80 | bytes of padding
    record                            type, checksum, data; each in protobuf
    padding                           so that a length never lies across two sectors

The checksum runs on from record to record, and from segment to segment. A crash leaves a torn last
record in the last segment: a length beyond the file, or a sector that is still zero. That is
normal, and the record counts for nothing. Anything else that does not fit is damage.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from swarmd.api.protos.raftlog_pb2 import LogHardState, LogRecord, LogSnapshot
from swarmd.api.protos.raftpb_pb2 import Entry
from swarmd.errors import CorruptStateError
from swarmd.migration import crc32c

_METADATA, _ENTRY, _STATE, _CHECKSUM, _SNAPSHOT = range(1, 6)
_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")
_LENGTH_BYTES: Final = 8
_SECTOR: Final = 512
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


class _Record(NamedTuple):
    type: int
    data: bytes
    place: str


class _TornError(Exception):
    pass


def read_log(directory: Path, start: Position) -> RaftLog:
    """All that is behind `start`; raises CorruptStateError, naming file and offset."""
    log = RaftLog()
    snapshot_seen = False
    for record in _records(_segments(directory, start.index), log):
        if record.type == _ENTRY:
            _append(log, _parsed(Entry, record), start.index, record.place)
        elif record.type == _STATE:
            log.committed = _parsed(LogHardState, record).commit
        elif record.type == _SNAPSHOT:
            found = _parsed(LogSnapshot, record)
            if found.index == start.index:
                snapshot_seen = True
                if found.term != start.term:
                    raise damaged(record.place, "it names another snapshot of that index")
        elif record.type == _METADATA:
            log.metadata = record.data
        else:
            raise damaged(record.place, f"a record is of the unknown type {record.type}")
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


def _segments(directory: Path, index: int) -> list[Path]:
    """The files from the one in which that index is, in order."""
    named = {path: _NAME.fullmatch(path.name) for path in sorted(directory.glob("*.wal"))}
    found = [(path, int(m[1], 16), int(m[2], 16)) for path, m in named.items() if m]
    first = max((n for n, (_, _, begin) in enumerate(found) if begin <= index), default=None)
    if first is None:
        raise damaged(str(directory), f"no file of it has the entries from index {index} on")
    needed = found[first:]
    for (_, number, _), (path, following, _) in pairwise(needed):
        if following != number + 1:
            raise damaged(str(directory), f"files are missing before {path.name}")
    return [path for path, _, _ in needed]


def _records(segments: Sequence[Path], log: RaftLog) -> Iterator[_Record]:
    crc = 0
    for path in segments:
        data, offset = path.read_bytes(), 0
        while offset + _LENGTH_BYTES <= len(data):
            length = int.from_bytes(data[offset : offset + _LENGTH_BYTES], "little")
            if length == 0:
                break
            place = f"{path}, at offset {offset},"
            try:
                record, end = _frame(data, offset, length)
                crc = _checked(record, crc, data[offset + _LENGTH_BYTES : end], offset, place)
            except _TornError as error:
                if path != segments[-1]:
                    raise damaged(place, f"{error}, and it is not the end of the log") from error
                left = len(data.rstrip(b"\0")) - offset
                log.torn = f"{path}, at offset {offset} ({left} bytes)"
                return
            if record.type != _CHECKSUM:
                yield _Record(record.type, record.data, place)
            offset = end


def _frame(data: bytes, offset: int, length: int) -> tuple[LogRecord, int]:
    """The record, and where the next frame begins; raises _TornError."""
    size, top = length & ((1 << 56) - 1), length >> 56
    padding = top & 7 if top & 0x80 else 0
    begin, end = offset + _LENGTH_BYTES, offset + _LENGTH_BYTES + size + padding
    if end > len(data):
        raise _TornError("a record is longer than its file")
    try:
        return LogRecord.FromString(data[begin : begin + size]), end
    except DecodeError as error:
        if _has_blank_sector(data[begin:end], begin):
            raise _TornError("a record is not whole") from error
        return LogRecord(type=-1), end  # its checksum is wrong, whatever it was


def _checked(record: LogRecord, crc: int, frame: bytes, offset: int, place: str) -> int:
    """The checksum so far with this record; raises CorruptStateError or _TornError."""
    if record.type == _CHECKSUM:
        if crc not in (0, record.crc):
            raise damaged(place, "the files do not follow one another")
        return record.crc
    crc = crc32c.update(crc, record.data)
    if crc == record.crc and record.type >= 0:
        return crc
    if _has_blank_sector(frame, offset + _LENGTH_BYTES):
        raise _TornError("a record is not whole")
    raise damaged(place, "the checksum of a record is wrong")


def _has_blank_sector(frame: bytes, begin: int) -> bool:
    """Some sector's share of it is zero throughout: it never reached the disk."""
    cut = _SECTOR - begin % _SECTOR
    shares = [frame[:cut], *(frame[at : at + _SECTOR] for at in range(cut, len(frame), _SECTOR))]
    return any(share and not any(share) for share in shares)


def _parsed(kind: type[_M], record: _Record) -> _M:
    try:
        return kind.FromString(record.data)
    except DecodeError as error:
        raise damaged(record.place, "a record cannot be read") from error
