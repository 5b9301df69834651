"""When a task printed what stands in its log: marks in a file beside it, `stdout.log.times`.

A mark is an offset in the log and the time at which what stands from there on was printed. The log
itself stays what the task wrote. Standard library only: the marks are made inside supervisord.
"""

import contextlib
import os
import struct
from pathlib import Path
from typing import BinaryIO, Final

_MARK: Final = struct.Struct("<Qd")
_FINEST_SECONDS: Final = 0.001
_SPARE_BYTES: Final = 64 << 10  # beyond these, marks take no more room than the log itself


class Marks:
    """The marks of a log that is being written. Trouble with them is no trouble for the log."""

    def __init__(self, log: str) -> None:
        self._log = log
        self._file = -1
        self._bytes = 0
        self._last = 0.0

    def note(self, offset: int, now: float) -> None:
        """What is written at this offset is printed now."""
        if abs(now - self._last) < _FINEST_SECONDS or self._bytes > offset + _SPARE_BYTES:
            return
        with contextlib.suppress(OSError):
            if self._file < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._file = os.open(path(self._log), flags, 0o644)
            self._bytes += os.write(self._file, _MARK.pack(offset, now))
            self._last = now

    def restart(self) -> None:
        """The log begins anew; its marks were moved along, or are worth nothing now."""
        self.close()
        with contextlib.suppress(OSError):
            os.unlink(path(self._log))  # noqa: PTH108 - no Path is made in supervisord's loop
        self._bytes, self._last = 0, 0.0

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def move(log: str, to: str) -> None:
    """A log was rotated: so are its marks. Those in their place go, as its log did."""
    try:
        os.replace(path(log), path(to))  # noqa: PTH105
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(path(to))  # noqa: PTH108


class LineTimes:
    """The marks of a log that is read from its beginning to its end."""

    def __init__(self, log: Path) -> None:
        self._path = path(str(log))
        self._file: BinaryIO | None = None
        self._next: tuple[int, float] | None = None
        self._time = 0.0

    def refresh(self) -> None:
        """Look for what was not there yet."""
        if self._file is None:
            with contextlib.suppress(OSError):
                self._file = Path(self._path).open("rb")  # noqa: SIM115 - closed by close()

    def at(self, offset: int) -> float:
        """When this was printed; 0 where nothing tells. Each call asks for a later offset."""
        while (mark := self._peek()) and mark[0] <= offset:
            self._time = mark[1]
            self._next = None
        return self._time

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _peek(self) -> tuple[int, float] | None:
        if self._next is None and self._file is not None:
            data = self._file.read(_MARK.size)
            if len(data) == _MARK.size:
                self._next = _MARK.unpack(data)
            elif data:
                self._file.seek(-len(data), os.SEEK_CUR)  # half written: the rest comes soon
        return self._next


def path(log: str) -> str:
    """Where the marks of a log are."""
    return f"{log}.times"
