"""Lines over a pipe, without blocking; end of file means that the other side is gone.

Both ends own their descriptor: they make it non-blocking, keep it from grandchildren, and close it.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Final

_CHUNK: Final = 65536
LONGEST_LINE: Final = 1 << 20
MOST_PENDING: Final = 4 << 20


class LineReader:
    """Calls `on_line` with each line, without its newline, and `on_end` once at end of file.

    A line of more than a mebibyte is passed over. Neither callback may raise. It reads from when it
    is made, in the running loop, until `close`.
    """

    def __init__(
        self, descriptor: int, on_line: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        _own(descriptor)
        self._descriptor = descriptor
        self._on_line = on_line
        self._on_end = on_end
        self._rest = b""
        self._skipping = False
        self._open = True
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._read)

    def drain(self) -> None:
        """Read what already lies in the pipe: the last words of a process that is gone."""
        while self._open and self._read():
            pass

    def close(self) -> None:
        """Stop reading; `on_end` is not called any more."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _read(self) -> bool:
        """Whether there was something to read."""
        try:
            chunk = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            chunk = b""
        if not chunk:
            self.close()
            self._on_end()
            return False
        self._split(chunk)
        return True

    def _split(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if self._skipping or len(line) > LONGEST_LINE:
                self._skipping = False
            elif self._open:
                self._on_line(line)
        if len(self._rest) > LONGEST_LINE:
            self._rest = b""
            self._skipping = True


class LineWriter:
    """Writes lines at once where the pipe has room, and the rest when it has.

    A reader that is gone is no error here: whoever reads from the other side notices it. Nor is one
    that never reads: beyond 4 MiB of pending lines, further ones are dropped.
    """

    def __init__(self, descriptor: int) -> None:
        _own(descriptor)
        self._descriptor = descriptor
        self._pending = bytearray()
        self._open = True
        self._loop = asyncio.get_running_loop()

    @property
    def is_behind(self) -> bool:
        """Whether the other side has not taken everything yet."""
        return bool(self._pending)

    def write(self, line: bytes) -> None:
        """Send this line, its newline included, after the lines before it."""
        if not self._open or len(self._pending) + len(line) > MOST_PENDING:
            return
        was_behind = self.is_behind
        self._pending += line
        if not was_behind:
            self._flush()
        if self.is_behind:
            self._loop.add_writer(self._descriptor, self._flush)

    def close(self) -> None:
        """Let go of the pipe; what is still pending is lost."""
        self._pending.clear()
        if self._open:
            self._open = False
            self._loop.remove_writer(self._descriptor)
            os.close(self._descriptor)

    def _flush(self) -> None:
        try:
            with contextlib.suppress(BlockingIOError):
                while self._pending:
                    del self._pending[: os.write(self._descriptor, self._pending)]
        except OSError:
            self.close()
        if self._open and not self.is_behind:
            self._loop.remove_writer(self._descriptor)


def _own(descriptor: int) -> None:
    os.set_blocking(descriptor, False)
    os.set_inheritable(descriptor, False)
