"""Let an event loop take all of grpcio's events that are there, and not one in each of its turns.

grpcio's own thread queues its events, and writes a byte to a socket pair for each; the loop, when
it finds the pair readable, takes one byte and one event. So each step of each call waits a whole
turn of a busy loop: under a burst, calls of a thousand nodes waited ten seconds.
"""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Any, Final

_POLLER: Final = "PollerCompletionQueue"
_MOST_IN_A_TURN: Final = 256  # others of the loop have their turn too


def take_all(loop: asyncio.AbstractEventLoop) -> None:
    """Have this loop do so; to be called before grpcio meets the loop."""
    add_reader = loop.add_reader

    def add(file: Any, callback: Callable[..., Any], *args: Any) -> Any:
        method = getattr(callback, "func", callback)  # it comes as a partial
        if type(getattr(method, "__self__", None)).__name__ != _POLLER:
            return add_reader(file, callback, *args)
        descriptor = file if isinstance(file, int) else file.fileno()

        def wake() -> None:
            for _ in range(min(max(_bytes_waiting(descriptor), 1), _MOST_IN_A_TURN)):
                callback(*args)

        return add_reader(file, wake)

    setattr(loop, "add_reader", add)  # noqa: B010 - a method of one loop, not of its class


def _bytes_waiting(descriptor: int) -> int:
    (waiting,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))
    return int(waiting)
