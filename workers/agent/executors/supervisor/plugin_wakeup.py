"""Turning supervisord's loop at once.

Its poll returns after a second, or when a descriptor is ready; a signal alone does not end it (PEP
475). So a child that dies while something else holds its output open would be noticed a second
late. Here every signal, SIGCHLD among them, makes a descriptor ready, and so does what asks for a
turn.

Runs inside supervisord: standard library and supervisor only.
"""

import contextlib
import os
import signal
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from supervisor.medusa import asyncore_25 as asyncore


class Wakeup:
    """A descriptor in supervisord's poll; `on_turn` is called in each turn that it caused."""

    def __init__(self, on_turn: Callable[[], None], log: Any) -> None:
        self._log = log
        self._on_turn = on_turn
        self._due = 0.0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        asyncore.socket_map[self._reader] = self
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGALRM, _nothing)  # its byte in the pipe is what counts

    def now(self) -> None:
        """Have a turn right after this one."""
        with contextlib.suppress(BlockingIOError):  # full: a turn is due anyway
            os.write(self._writer, b"\0")

    def within(self, seconds: float) -> None:
        """Have a turn in that time at the latest."""
        due = time.monotonic() + seconds
        if not self._due or due < self._due:
            self._due = due
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def abandon(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if asyncore.socket_map.get(self._reader) is self:
            del asyncore.socket_map[self._reader]

    # What supervisord's loop asks of each entry of its socket map.

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 65536)
        if time.monotonic() >= self._due:
            self._due = 0.0
        self._on_turn()

    def handle_write_event(self) -> None:
        """Never called: it is not writable."""

    def handle_error(self) -> None:
        """Called when a turn raised: all the tasks are worth more than the turn."""
        self._log.critical(traceback.format_exc())


def _nothing(_signal: int, _frame: FrameType | None) -> None:
    pass
