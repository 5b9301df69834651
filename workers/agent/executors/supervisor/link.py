"""What the agent knows of the programs in supervisord, kept fresh.

The plugin rings when something changed; then, and now and then without, all that changed since the
last look is read. So a lost ring costs seconds and never a task.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final

from swarmd.api import tasks
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.logs import fields, get_logger
from workers.agent.executors.errors import GoneError, TemporaryError
from workers.agent.executors.supervisor.messages import (
    Changes,
    HostInfo,
    ProgramSettings,
    ProgramStatus,
)
from workers.agent.executors.supervisor.rpc import SupervisorClient

log = get_logger(__name__)

_LOOK_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 20.0
_FIRST_RETRY: Final = 0.1
_LONGEST_RETRY: Final = 5.0


class Link:
    """The connection to one supervisord, and the states of its programs."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[SupervisorClient]],
        doorbell: Path,
        clock: Clock,
        random: Random,
    ) -> None:
        self._connect = connect
        self._doorbell = doorbell
        self._clock = clock
        self._backoff = Backoff(_FIRST_RETRY, _LONGEST_RETRY, random)
        self._client: SupervisorClient | None = None
        self._connected = asyncio.Event()
        self._rung = asyncio.Event()
        self._boot = ""
        self._number = 0
        self._programs: dict[str, ProgramStatus] = {}
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self.info: HostInfo | None = None

    async def run(self) -> None:
        """Connect, follow, and connect again, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_now_and_then())
            with _listen(self._doorbell, self._rung):
                while True:
                    try:
                        await self._follow()
                    except TemporaryError as error:
                        self._connected.clear()
                        log.warning("no supervisord for tasks", extra=fields(reason=str(error)))
                    await self._clock.sleep(self._backoff.next())

    async def connected(self) -> SupervisorClient:
        """The client, as soon as there is one; raises TemporaryError after a while without."""
        if not self._connected.is_set():
            await self._wait_connected()
        assert self._client is not None
        return self._client

    async def _wait_connected(self) -> None:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._connected.wait()
        except TimeoutError as error:
            raise TemporaryError("no supervisord for tasks answers") from error

    async def add(self, settings: ProgramSettings) -> None:
        """Make the program; one that is there already stays as it is."""
        client = await self.connected()
        await client.add(settings)
        namespec = f"{settings.group}:{settings.name}"
        fresh = ProgramStatus(id=settings.id, namespec=namespec, state="STOPPED")
        self._programs.setdefault(settings.id, fresh)

    async def remove(self, task_id: str) -> None:
        client = await self.connected()
        await client.remove(task_id)
        self._programs.pop(task_id, None)

    async def status(self, task_id: str) -> ProgramStatus | None:
        """What is known of it; none where supervisord has no such task."""
        await self.connected()
        return self._programs.get(task_id)

    async def wait(self, task_id: str, until: Callable[[ProgramStatus], bool]) -> ProgramStatus:
        """Its status, as soon as that is so; raises GoneError when supervisord has it no more."""
        while True:
            status = await self.status(task_id)
            if status is None:
                raise GoneError(tasks.gone(task_id))
            if until(status):
                return status
            await self._next_change(task_id)

    async def _follow(self) -> None:
        self._client = client = await self._connect()
        try:
            self.info = await client.info()
            with _notice_end(self.info.pid, self._rung):
                await self._keep_fresh(client)
        finally:
            client.close()

    async def _keep_fresh(self, client: SupervisorClient) -> None:
        while True:
            self._rung.clear()
            self._apply(await client.changes(self._boot, self._number, str(self._doorbell)))
            if not self._connected.is_set():
                log.info("tasks run in supervisord", extra=fields(url=client.url))
            self._connected.set()
            self._backoff.reset()
            await self._rung.wait()

    def _apply(self, changes: Changes) -> None:
        touched = [status.id for status in changes.programs]
        if changes.whole:
            touched += list(self._waiters)
            self._programs.clear()
        self._boot, self._number = changes.boot, changes.number
        self._programs |= {status.id: status for status in changes.programs}
        for task_id in touched:
            for waiter in self._waiters.get(task_id, ()):
                if not waiter.done():
                    waiter.set_result(None)

    async def _next_change(self, task_id: str) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(task_id, set())
        waiters.add(waiter)
        try:
            await waiter
        finally:
            waiters.discard(waiter)
            if not waiters:
                self._waiters.pop(task_id, None)

    async def _look_now_and_then(self) -> None:
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            self._rung.set()


@contextlib.contextmanager
def _notice_end(pid: int, rung: asyncio.Event) -> Iterator[None]:
    """Look at once when supervisord ends: its own end is the one that it cannot tell."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # it ended already, or this kernel has none: the next look will tell
        yield
        return
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(descriptor)
        rung.set()

    loop.add_reader(descriptor, ended)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


@contextlib.contextmanager
def _listen(path: Path, rung: asyncio.Event) -> Iterator[None]:
    """Set the event whenever a datagram arrives at the path."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(receiver, _take_rings, receiver, rung)
        try:
            yield
        finally:
            loop.remove_reader(receiver)  # the path stays: by now it may be the next agent's


def _take_rings(receiver: socket.socket, rung: asyncio.Event) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            receiver.recv(16)
            rung.set()
