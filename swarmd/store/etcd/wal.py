"""etcd's write-ahead log, read and appended to as etcd does it; only while no etcd has it open.

A directory of segments, named <sequence>-<first index>.wal in hexadecimal, preallocated with zeros.
A segment is a run of frames:

    length, 8 bytes, little-endian    its top byte, where set: 0x80 | bytes of padding
    record                            type, checksum, data; each in protobuf
    padding                           so that a length never lies across two sectors

The checksum runs on from record to record, and from segment to segment. A crash leaves a torn last
record in the last segment: a length beyond the file, or a sector that is still zero. That is
normal, and the record counts for nothing. Anything else that does not fit is damage.
"""

import fcntl
import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from swarmd.api.protos.raftlog_pb2 import LogRecord
from swarmd.errors import CorruptStateError
from swarmd.state_dir import replace_file
from swarmd.store.etcd import crc32c

METADATA, ENTRY, STATE, _CHECKSUM, SNAPSHOT = range(1, 6)
_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")
_LENGTH_BYTES: Final = 8
_SECTOR: Final = 512
_FLOCK: Final = "hhqqi4x"  # struct flock: type, whence, start, length, pid


class DamagedLogError(CorruptStateError):
    """`place` is the file, and where in it."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place} is damaged: {why}")
        self.place = place
        self.why = why


class Record(NamedTuple):
    """Its type is one of those above; `place` names it in an error."""

    type: int
    data: bytes
    place: str


@dataclass(slots=True)
class End:
    """Where a log ends, once its records were read: there goes the next one.

    `torn` says where a last record was not whole, if it was not, and how much the file has from
    there on.
    """

    path: Path = field(default_factory=Path)
    offset: int = 0
    crc: int = 0
    torn: str = ""


class _TornError(Exception):
    pass


def segments(directory: Path, index: int) -> list[Path]:
    """The files from the one in which that index is, in order; raises DamagedLogError."""
    named = {path: _NAME.fullmatch(path.name) for path in sorted(directory.glob("*.wal"))}
    found = [(path, int(m[1], 16), int(m[2], 16)) for path, m in named.items() if m]
    first = max((n for n, (_, _, begin) in enumerate(found) if begin <= index), default=None)
    if first is None:
        raise DamagedLogError(
            str(directory), f"no file of it has the entries from index {index} on"
        )
    needed = found[first:]
    for (_, number, _), (path, following, _) in pairwise(needed):
        if following != number + 1:
            raise DamagedLogError(str(directory), f"files are missing before {path.name}")
    return [path for path, _, _ in needed]


def records(paths: Sequence[Path], end: End) -> Iterator[Record]:
    """What is in these segments, all of it verified; raises DamagedLogError."""
    for path in paths:
        end.path, end.offset = path, 0
        data = path.read_bytes()
        while length := int.from_bytes(data[end.offset : end.offset + _LENGTH_BYTES], "little"):
            place = f"{path}, at offset {end.offset},"
            try:
                record, behind = _frame(data, end.offset, length)
                frame = data[end.offset + _LENGTH_BYTES : behind]
                end.crc = _checked(record, end.crc, frame, end.offset, place)
            except _TornError as error:
                if path != paths[-1]:
                    raise DamagedLogError(
                        place, f"{error}, and it is not the end of the log"
                    ) from error
                left = len(data.rstrip(b"\0")) - end.offset
                end.torn = f"{path}, at offset {end.offset} ({left} bytes)"
                return
            if record.type != _CHECKSUM:
                yield Record(record.type, record.data, place)
            end.offset = behind


def append(end: End, wanted: Sequence[tuple[int, bytes]]) -> None:
    """Write records, by type and data, where the log ends: all of them or, after a crash, none.

    They are on the disk on return; what a crash had left there of a record is gone. Raises
    BlockingIOError while an etcd has the log open, or another OSError.
    """
    frames = b""
    for kind, data in wanted:
        end.crc = crc32c.update(end.crc, data)
        frames += frame(LogRecord(type=kind, crc=end.crc, data=data))
    with end.path.open("r+b") as file:
        lock = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)  # etcd's own; it goes with the file
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        written = file.read(end.offset) + frames
        replace_file(end.path, written.ljust(size, b"\0"))
    end.offset, end.torn = end.offset + len(frames), ""


def frame(record: LogRecord) -> bytes:
    """The record as it stands in a segment."""
    data = record.SerializeToString()
    padding = -len(data) % _LENGTH_BYTES
    length = len(data) | ((0x80 | padding) << 56 if padding else 0)
    return length.to_bytes(_LENGTH_BYTES, "little") + data + bytes(padding)


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
    """The checksum so far with this record; raises DamagedLogError or _TornError."""
    if record.type == _CHECKSUM:
        if crc not in (0, record.crc):
            raise DamagedLogError(place, "the files do not follow one another")
        return record.crc
    crc = crc32c.update(crc, record.data)
    if crc == record.crc and record.type >= 0:
        return crc
    if _has_blank_sector(frame, offset + _LENGTH_BYTES):
        raise _TornError("a record is not whole")
    raise DamagedLogError(place, "the checksum of a record is wrong")


def _has_blank_sector(frame: bytes, begin: int) -> bool:
    """Some sector's share of it is zero throughout: it never reached the disk."""
    cut = _SECTOR - begin % _SECTOR
    shares = [frame[:cut], *(frame[at : at + _SECTOR] for at in range(cut, len(frame), _SECTOR))]
    return any(share and not any(share) for share in shares)
