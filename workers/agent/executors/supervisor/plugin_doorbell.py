"""Telling agents that something changed, without ever waiting for one.

A datagram says no more than that. One that finds the queue full may be dropped: the agent has one
there to read, and will read the changes after it. Runs inside supervisord.
"""

import contextlib
import socket
from typing import Final

_MOST: Final = 8  # agents at a time; one is the rule, two while one replaces another


class Doorbell:
    """The agents that want to know, each by the path of its datagram socket."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._rung: dict[str, bool] = {}

    def subscribe(self, path: str) -> None:
        """Ring there at the next change; called again each time that the agent has looked."""
        self._rung.pop(path, None)
        while len(self._rung) >= _MOST:
            del self._rung[next(iter(self._rung))]
        self._rung[path] = False

    def ring(self) -> None:
        """Ring where it has not rung since the agent last looked."""
        for path, rung in list(self._rung.items()):
            if not rung:
                self._ring(path)

    def abandon(self) -> None:
        self._socket.detach()

    def _ring(self, path: str) -> None:
        self._rung[path] = True
        try:
            with contextlib.suppress(BlockingIOError):
                self._socket.sendto(b"!", path)
        except OSError:  # nobody listens there any more
            del self._rung[path]
