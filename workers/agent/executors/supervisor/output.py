"""A program's output as log messages, read from the files that supervisord rotates.

The output bears no times of its own: a line's is when its file was last written, as it was read.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from swarmd import api
from swarmd.api import times
from swarmd.clock import Clock

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
    """The lines of the streams asked for, oldest first in each; follow goes on until its end."""
    wanted = [s for s in _NAMES if not options.streams or s in options.streams]
    since = times.seconds(options.since)
    readers = [_Reader(directory / _NAMES[stream], stream, since) for stream in wanted]
    try:
        async for line in _tail(readers, options.tail):
            yield line
        while options.follow:
            ended = await has_ended()  # asked first: what it wrote before its end is read below
            for line in await asyncio.to_thread(_take, readers, last=ended):
                yield line
            if ended:
                return
            await clock.sleep(_LOOK_SECONDS)
    finally:
        for reader in readers:
            reader.close()


async def _tail(readers: list["_Reader"], tail: int) -> AsyncIterator[Line]:
    """Nought is all; n skips n lines; -n is the last n - 1."""
    kept: deque[Line] = deque(maxlen=-tail - 1 if tail < 0 else None)
    skipped = 0
    while lines := await asyncio.to_thread(_take_some, readers):
        for line in lines:
            skipped += 1
            if tail < 0:
                kept.append(line)
            elif skipped > tail:
                yield line
    for line in kept:
        yield line


def _take_some(readers: list["_Reader"]) -> list[Line]:
    for reader in readers:
        if lines := reader.take():
            return lines
    return []


def _take(readers: list["_Reader"], *, last: bool) -> list[Line]:
    found: list[Line] = []
    for reader in readers:
        while lines := reader.take():
            found += lines
        if last:
            found += reader.rest()
    return found


@dataclass(slots=True)
class _Reader:
    """One stream, over its rotated files."""

    path: Path
    stream: api.LogStream.ValueType
    since: float
    file: BinaryIO | None = None
    begun: bytes = field(default=b"", init=False)

    def take(self) -> list[Line]:
        """Some more whole lines; none when there is nothing more for now."""
        while True:
            piece = self.file.read(_PIECE) if self.file else b""
            if piece:
                lines = list(self._lines(piece))
                if lines:
                    return lines
            elif not self._next_file():
                return []

    def rest(self) -> list[Line]:
        """What stands after the last newline."""
        begun, self.begun = self.begun, b""
        return [self._line(begun)] if begun else []

    def close(self) -> None:
        if self.file:
            self.file.close()

    def _lines(self, piece: bytes) -> Iterator[Line]:
        *whole, self.begun = (self.begun + piece).split(b"\n")
        for text in whole:
            yield from self._pieces(text + b"\n")
        if len(self.begun) >= _LONGEST_LINE:
            begun, self.begun = self.begun, b""
            yield from self._pieces(begun)

    def _pieces(self, text: bytes) -> Iterator[Line]:
        for start in range(0, len(text), _LONGEST_LINE):
            yield self._line(text[start : start + _LONGEST_LINE])

    def _line(self, data: bytes) -> Line:
        time = os.fstat(self.file.fileno()).st_mtime if self.file else 0.0
        return Line(self.stream, time, data)

    def _next_file(self) -> bool:
        """Go on with the file that came after this one; False while there is none."""
        files = _existing(self.path, self.since)
        if self.file:
            here = os.fstat(self.file.fileno()).st_ino
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
        self.file = following
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
