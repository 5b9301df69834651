"""A client that creates without a pause, and how long it could not meanwhile."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import grpc
from docker.errors import DockerException

from bench.daemon import wait

Door = Callable[[], AbstractContextManager[Callable[[], object]]]
"""The way to a manager; what it gives creates one object, durably, or raises what says it cannot.
"""
_WATCHED_SECONDS = 4.0
_PAUSE_SECONDS = 0.005


class Writer(threading.Thread):
    """Creates, one after the other, by the first of these doors that opens; notes the times."""

    def __init__(self, doors: Sequence[Door]) -> None:
        super().__init__(daemon=True)
        self.done: list[float] = []
        self._doors = doors
        self._stopped = threading.Event()

    def run(self) -> None:
        for door in itertools.cycle(self._doors):
            with (
                contextlib.suppress(OSError, grpc.RpcError, DockerException),
                door() as create,
            ):
                while not self._stopped.is_set():
                    create()
                    self.done.append(time.monotonic())
            if self._stopped.wait(_PAUSE_SECONDS):
                return

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def wait_first(self) -> None:
        wait(lambda: self.done)

    def gap_after(self, since: float) -> float:
        """The longest time without an acknowledged write, of those seconds that come then."""
        wait(lambda: self.done and self.done[-1] > since + _WATCHED_SECONDS)
        last = max(end for end in self.done if end < since)
        ends = [end for end in self.done if end >= last]
        return max(later - earlier for earlier, later in itertools.pairwise(ends))
