"""One worker process: spawn it, hear it, TERM it, KILL it, learn how it ended."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import Protocol

from swarmd import logs
from swarmd.ipc import messages
from swarmd.ipc.messages import BadMessageError, Down, Up
from swarmd.ipc.pipe import LineReader, LineWriter
from swarmd.supervision.command import Command, worker_environment
from swarmd.supervision.exits import wait_gone
from swarmd.supervision.restarts import Limits

Hear = Callable[[Up], None]
log = logs.get_logger(__name__)


class Child(Protocol):
    """What a supervisor needs of a process; Process is the real one."""

    pid: int

    def send(self, message: Down) -> None:
        """Say it down the pipe; nothing happens where the process is gone."""

    def terminate(self) -> None:
        """Ask it to stop."""

    def kill(self) -> None:
        """End it now."""

    async def wait(self) -> int:
        """Its exit status, minus the signal where one ended it, once all it said was heard."""


class Spawn(Protocol):
    """Starts a child whose words go to `hear`; raises OSError."""

    def __call__(self, hear: Hear) -> Child: ...


def spawner(command: Command, limits: Limits, lock: int, environment: Mapping[str, str]) -> Spawn:
    """Starts real processes; each holds the lock's descriptor as long as it lives."""

    def spawn(hear: Hear) -> Child:
        return Process(command, limits, lock, environment, hear)

    return spawn


class Process:
    """A process of this host, started when this object is made."""

    def __init__(
        self,
        command: Command,
        limits: Limits,
        lock: int,
        environment: Mapping[str, str],
        hear: Hear,
    ) -> None:
        self._hear = hear
        stdin, down = os.pipe()
        up, status = os.pipe()
        try:
            self._popen = subprocess.Popen(  # noqa: S603  our own command line
                command.argv,
                stdin=stdin,
                pass_fds=(status, lock),
                env=worker_environment(environment, limits, status, lock),
                start_new_session=True,
            )
        except BaseException:
            os.close(down)
            os.close(up)
            raise
        finally:
            os.close(stdin)
            os.close(status)
        self.pid = self._popen.pid
        self._up = LineReader(up, self._take, lambda: None)
        self._down = LineWriter(down)
        self._end = asyncio.create_task(self._wait_end(), name=f"end of {self.pid}")

    def send(self, message: Down) -> None:
        self._down.write(messages.encode(message))

    def terminate(self) -> None:
        self._popen.send_signal(signal.SIGTERM)  # does nothing to one that was reaped

    def kill(self) -> None:
        self._popen.kill()

    async def wait(self) -> int:
        return await asyncio.shield(self._end)

    async def _wait_end(self) -> int:
        await wait_gone(self.pid)
        status = self._popen.wait()
        self._up.drain()
        self._up.close()
        self._down.close()
        return status

    def _take(self, line: bytes) -> None:
        try:
            message = messages.decode_up(line)
        except BadMessageError as error:
            log.warning("passed over what a worker said", extra=logs.fields(reason=error))
            return
        self._hear(message)
