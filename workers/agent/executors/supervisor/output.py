"""A program's output as log messages, read from the files that supervisord rotates.

The output bears no times of its own: line_times.py tells them.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from swarmd import api
from swarmd.api import times
from swarmd.clock import Clock
from workers.agent.executors.supervisor.line_times import LineTimes

_LOOK_SECONDS: Final = 0.25
_PIECE: Final = 64 << 10
_LONGEST_LINE: Final = 16 << 10  # a longer one comes in pieces, as from Docker
_NAMES: Final = {
    api.LogStream.LOG_STREAM_STDOUT: "stdout.log",
    api.LogStream.LOG_STREAM_STDERR: "stderr.log",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line, its newline included."""

    stream: api.LogStream.ValueType
    time: float
    data: bytes


async def read(
    directory: Path,
    options: api.LogSubscriptionOptions,
    clock: Clock,
    has_ended: Callable[[], Awaitable[bool]],
) -> AsyncIterator[Line]:
    """The lines of the streams asked for, in the order of their times; follow goes on to its end.

    A last line that is not ended is told too, except while it is followed: the rest comes later.
    """
    wanted = [s for s in _NAMES if not options.streams or s in options.streams]
    since = times.seconds(options.since)
    readers = [_Reader(directory / _NAMES[stream], stream, since) for stream in wanted]
    try:
        # Asked before reading: what it wrote before its end is then read in any case.
        ended = not options.follow or await has_ended()
        async for line in _tail(_available(readers, last=ended), options.tail):
            yield line
        while not ended:
            await clock.sleep(_LOOK_SECONDS)
            ended = await has_ended()
            async for line in _available(readers, last=ended):
                yield line
    finally:
        for reader in readers:
            reader.close()


async def _available(readers: list["_Reader"], *, last: bool) -> AsyncIterator[Line]:
    """All that can be read for now, a piece at a time; the last line too where it is the last."""
    while lines := await asyncio.to_thread(_take, readers):
        for line in lines:
            yield line
    if last:
        for reader in readers:
            for line in reader.rest():
                yield line


async def _tail(lines: AsyncIterator[Line], tail: int) -> AsyncIterator[Line]:
    """Nought is all; n skips n lines; -n is the last n - 1."""
    kept: deque[Line] = deque(maxlen=-tail - 1 if tail < 0 else None)
    skipped = 0
    async for line in lines:
        skipped += 1
        if tail < 0:
            kept.append(line)
        elif skipped > tail:
            yield line
    for line in kept:
        yield line


def _take(readers: list["_Reader"]) -> list[Line]:
    """Some more lines of all streams, by their times; none when there are no more for now."""
    full = [reader for reader in readers if reader.fill()]
    if not full:
        return []
    # Beyond this time, a stream may have lines that are not read yet.
    end = min(reader.lines[-1].time for reader in full)
    found: list[Line] = []
    for reader in full:
        while reader.lines and (reader.lines[0].time <= end or len(full) == 1):
            found.append(reader.lines.popleft())
    return sorted(found, key=lambda line: line.time)


@dataclass(slots=True)
class _Reader:
    """One stream, over its rotated files."""

    path: Path
    stream: api.LogStream.ValueType
    since: float
    lines: deque[Line] = field(default_factory=deque, init=False)
    _file: BinaryIO | None = field(default=None, init=False)
    _times: LineTimes | None = field(default=None, init=False)
    _offset: int = field(default=0, init=False)  # of what is read next
    _begun: bytes = field(default=b"", init=False)

    def fill(self) -> bool:
        """Read until there are some whole lines; False where there are none for now."""
        while not self.lines:
            piece = self._file.read(_PIECE) if self._file else b""
            if piece:
                self._split(piece)
            elif not self._next_file():
                return False
        return True

    def rest(self) -> list[Line]:
        """What stands after the last newline."""
        begun, self._begun = self._begun, b""
        self._put(begun, self._offset - len(begun))
        lines, self.lines = list(self.lines), deque()
        return lines

    def close(self) -> None:
        if self._file:
            self._file.close()
        if self._times:
            self._times.close()

    def _split(self, piece: bytes) -> None:
        if self._times:
            self._times.refresh()
        start = self._offset - len(self._begun)
        self._offset += len(piece)
        *whole, self._begun = (self._begun + piece).split(b"\n")
        for text in whole:
            self._put(text + b"\n", start)
            start += len(text) + 1
        if len(self._begun) >= _LONGEST_LINE:
            begun, self._begun = self._begun, b""
            self._put(begun, start)

    def _put(self, text: bytes, offset: int) -> None:
        """Add a line, a very long one in pieces, unless it is too old."""
        if not text:
            return
        time = self._time(max(0, offset))
        if time >= self.since:
            for start in range(0, len(text), _LONGEST_LINE):
                self.lines.append(Line(self.stream, time, text[start : start + _LONGEST_LINE]))

    def _time(self, offset: int) -> float:
        """A log that has no marks tells by its own time, which is that of its last line."""
        if self._times and (time := self._times.at(offset)):
            return time
        return os.fstat(self._file.fileno()).st_mtime if self._file else 0.0

    def _next_file(self) -> bool:
        """Go on with the file that came after this one; False while there is none."""
        files = _existing(self.path, self.since)
        if self._file:
            here = os.fstat(self._file.fileno()).st_ino
            inodes = [inode for inode, _ in files]
            if here in inodes:
                files = files[inodes.index(here) + 1 :]
        if not files:
            return False
        try:
            following = files[0][1].open("rb")
        except FileNotFoundError:
            return False  # it was rotated just now: look again
        self.close()
        self._file, self._times, self._offset = following, LineTimes(files[0][1]), 0
        return True


def _existing(path: Path, since: float) -> list[tuple[int, Path]]:
    """The inodes and paths of a log's files, oldest first, without those written before a time."""
    found: list[tuple[int, Path]] = []
    number = 0
    while True:
        file = path.with_name(f"{path.name}.{number}") if number else path
        try:
            about = file.stat()
        except FileNotFoundError:
            if number:
                return found[::-1]
        else:
            if about.st_mtime >= since:
                found.append((about.st_ino, file))
        number += 1
