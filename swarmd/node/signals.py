"""Signals, and a supervisord that is gone, become wishes in a queue; one loop acts on them."""

import asyncio
import contextlib
import enum
import os
import signal
from collections.abc import Iterator, Mapping

from swarmd.supervision.exits import wait_gone


class Wish(enum.Enum):
    STOP = enum.auto()
    KILL = enum.auto()  # a second signal: somebody does not want to wait
    RELOAD = enum.auto()


class Wishes:
    """The queue, and the rule that the second stop is a kill."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Wish] = asyncio.Queue()
        self._stop_asked = False

    async def next(self) -> Wish:
        return await self._queue.get()

    def stop(self) -> None:
        """Somebody wants the node to stop, and wants it more the second time."""
        self._queue.put_nowait(Wish.KILL if self._stop_asked else Wish.STOP)
        self._stop_asked = True

    def reload(self) -> None:
        self._queue.put_nowait(Wish.RELOAD)

    def lose_supervisord(self) -> None:
        """Nobody is in a hurry: it only must not run beside the next one."""
        self._queue.put_nowait(Wish.STOP)


@contextlib.contextmanager
def listen_for_signals(wishes: Wishes) -> Iterator[None]:
    """Take SIGINT, SIGTERM and SIGHUP while the block runs, and none of them after it.

    The process is about to exit then: a late Ctrl+C must not tear its last words.
    """
    loop = asyncio.get_running_loop()
    handlers = {
        signal.SIGINT: wishes.stop,
        signal.SIGTERM: wishes.stop,
        signal.SIGHUP: wishes.reload,
    }
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


async def watch_supervisord(wishes: Wishes, environment: Mapping[str, str]) -> None:
    """Wish to stop when the supervisord that started us is gone; else never return.

    The next supervisord starts a swarmd of its own, which this one would keep out.
    """
    if environment.get("SUPERVISOR_ENABLED"):
        supervisord = os.getppid()
        await wait_gone(supervisord)
        wishes.lose_supervisord()
