"""Signs of life for a lease, from a thread: a loop that is busy for a second keeps the lead.

A process that is stopped or dead does not. Time is counted from before each sign of life was sent:
what this manager takes for the end comes before what etcd does.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import grpc

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.api.protos import etcd_pb2_grpc as services
from swarmd.clock import Clock
from swarmd.logs import fields, get_logger
from swarmd.store.etcd.client import OPTIONS, target

log = get_logger(__name__)
_SIGNS: Final = 5  # in the time of the lease
_PATIENCE: Final = 3  # that part of it may one answer take


class Keeper(threading.Thread):
    """Keeps a lease of so many `seconds` alive; calls `ended`, once, when it may be over."""

    def __init__(
        self,
        socket: Path,
        lease: int,
        *,
        seconds: int,
        since: float,
        clock: Clock,
        ended: Callable[[], None],
    ) -> None:
        super().__init__(name="lease", daemon=True)
        self._target = target(socket)
        self._lease = lease
        self._seconds = seconds
        self._until = since + seconds
        self._clock = clock
        self._ended = ended
        self._stopped = threading.Event()

    @property
    def left(self) -> float:
        """Seconds, by the clock alone: right also in a process that was stopped and woke up."""
        return self._until - self._clock.monotonic()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        request = etcd.LeaseKeepAliveRequest(ID=self._lease)
        with grpc.insecure_channel(self._target, options=OPTIONS) as channel:
            stub = services.LeaseStub(channel)
            while not self._stopped.is_set() and self.left > 0:
                asked = self._clock.monotonic()
                answered = self._keep_alive(stub, request)
                if answered == 0:  # etcd says so itself: it is over
                    self._until = asked
                elif answered is not None:
                    self._until = asked + self._seconds
                self._stopped.wait(max(0.0, min(self._seconds / _SIGNS, self.left)))
        if not self._stopped.is_set():
            self._ended()

    def _keep_alive(
        self, stub: services.LeaseStub, request: etcd.LeaseKeepAliveRequest
    ) -> int | None:
        """The seconds left, by etcd's word; None where it gave none."""
        patience = max(0.0, min(self._seconds / _PATIENCE, self.left))
        try:
            for answer in stub.LeaseKeepAlive(iter([request]), timeout=patience):
                return answer.TTL
        except grpc.RpcError as error:
            log.warning("no answer to a sign of life", extra=fields(error=error.details()))
        return None
