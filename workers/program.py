"""Run a worker's main: event loop, pipes to the parent, signals, logs, exit status.

    if __name__ == "__main__":
        run_worker("agent", main)

`main` is cancelled for a stop: on SIGTERM, and when the parent is gone. It cleans up and returns.
"""

import asyncio
import errno
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NoReturn

from swarmd import logs
from swarmd.config import NodeConfig
from swarmd.errors import (
    CannotBootError,
    CorruptStateError,
    ExitStatus,
    ResourceExhaustedError,
    SwarmError,
)
from swarmd.ipc import messages
from swarmd.ipc.environment import ALIVE_SECONDS, LOCK_FD, ORPHAN_SECONDS, STATUS_FD
from swarmd.ipc.messages import (
    Alive,
    BadMessageError,
    Configure,
    Down,
    Failed,
    LogLevel,
    Stopping,
    UnlockKey,
    Up,
)
from swarmd.ipc.parent_link import ParentLink
from swarmd.ipc.pipe import LineReader, LineWriter
from swarmd.rpc.wakeups import take_all
from swarmd.security import unlock_key
from swarmd.state_dir import StateDir

Main = Callable[[ParentLink], Awaitable[None]]
log = logs.get_logger(__name__)
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_SQLITE_NO_ROOM: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"})


def run_worker(name: str, main: Main) -> NoReturn:
    """Be the worker of this name until `main` ends or a stop is asked for.

    Exits CLEAN after a stop or when `main` returned, CANNOT_BOOT when it raised CannotBootError or
    CorruptStateError (alone or in a group), else FAILED.
    """
    logs.set_up(name, "info")
    if STATUS_FD not in os.environ:
        log.error("a worker is started by swarmd, not by hand")
        sys.exit(ExitStatus.USAGE)
    status = asyncio.run(_run(name, main))
    logging.shutdown()
    # At once: threads of gRPC and of executors can hold the interpreter's own way out for seconds.
    os._exit(status)


async def _run(name: str, main: Main) -> ExitStatus:
    take_all(asyncio.get_running_loop())
    ends = _Ends(name)
    async with asyncio.TaskGroup() as group:
        alive = group.create_task(_say_alive(ends, float(os.environ.pop(ALIVE_SECONDS, "0.5"))))
        worker = group.create_task(_work(ends, main))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ends.stop.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, ends.stop.set)
        stopper = group.create_task(_cancel_on_stop(ends, worker))
        status = await worker
        alive.cancel()
        stopper.cancel()
    return status


class _Ends:
    """Both pipes, and what came down them."""

    def __init__(self, name: str) -> None:
        self.stop = asyncio.Event()
        self.link: asyncio.Future[ParentLink] = asyncio.get_running_loop().create_future()
        self._name = name
        self._unlock_key = ""
        self._key_file: Path | None = None
        self._up = LineWriter(int(os.environ.pop(STATUS_FD)))
        down = _take_stdin()
        self._down = LineReader(down, self._take, self._parent_is_gone)
        _keep_from_children()
        _leave_with_parent(down, float(os.environ.pop(ORPHAN_SECONDS, "4")))

    def report(self, message: Up) -> None:
        # A parent that does not read (stopped in a debugger, say) need not hear this twice.
        if not (isinstance(message, Alive) and self._up.is_behind):
            self._up.write(messages.encode(message))

    def _take(self, line: bytes) -> None:
        try:
            message = messages.decode_down(line)
        except BadMessageError:
            log.exception("the parent said what this version does not know")
            return
        if isinstance(message, Configure):
            self._configure(message)
        elif isinstance(message, LogLevel):
            _set_log_level(message.level)
        elif isinstance(message, UnlockKey):
            self._unlock_key = message.key
            self._remember_key()
        else:
            self._deliver(message)

    def _configure(self, message: Configure) -> None:
        if self.link.done():
            return
        try:
            config = NodeConfig.from_json(message.config_json)
            logs.set_up(self._name, config.log_level, config.log_format)
        except (ValueError, TypeError, KeyError) as error:
            # After an upgrade in place: the new worker cannot serve under the old parent.
            self.link.set_exception(CannotBootError(f"not this version's configuration: {error!r}"))
        else:
            self._unlock_key = self._unlock_key or config.unlock_key
            self._key_file = StateDir(config.state_dir).node_key
            self._remember_key()
            self.link.set_result(ParentLink(config, self.report))

    def _remember_key(self) -> None:
        """Whatever of this process reads or writes the node's key file finds it open."""
        if self._key_file is not None:
            key = unlock_key.parse(self._unlock_key) if self._unlock_key else b""
            unlock_key.remember(self._key_file, key)

    def _parent_is_gone(self) -> None:
        log.warning("the parent is gone: stopping")
        self.stop.set()
        self._deliver(None)

    def _deliver(self, message: Down | None) -> None:
        if self.link.done() and self.link.exception() is None:
            self.link.result().deliver(message)


def _set_log_level(level: str) -> None:
    if level in logs.LEVELS:
        logging.getLogger().setLevel(logs.LEVELS[level])
    else:
        log.warning("no such log level", extra=logs.fields(level=level))


async def _say_alive(ends: _Ends, period_seconds: float) -> None:
    """From the worker's own loop, so that a loop that is stuck falls silent."""
    while True:
        ends.report(Alive())
        await asyncio.sleep(period_seconds)


async def _cancel_on_stop(ends: _Ends, worker: asyncio.Task[ExitStatus]) -> None:
    await ends.stop.wait()
    ends.report(Stopping())
    worker.cancel()


async def _work(ends: _Ends, main: Main) -> ExitStatus:
    """Run main with its link, and turn its end into a status and a last word to the parent."""
    try:
        await main(await ends.link)
    except asyncio.CancelledError:
        if not ends.stop.is_set():
            raise
    except Exception as error:  # noqa: BLE001  the process ends here: every end is told and logged
        return _failed(ends, error)
    return ExitStatus.CLEAN


def _failed(ends: _Ends, error: Exception) -> ExitStatus:
    final = _first_final(error)
    if final is not None:
        log.error("cannot boot", extra=logs.fields(reason=final))
        ends.report(Failed(str(final), cannot_boot=True, transient=_is_full_disk(final)))
        return ExitStatus.CANNOT_BOOT
    reason = _leaf(error)
    if isinstance(reason, SwarmError):  # what it says is for people, and all that there is to say
        log.error("failed", extra=logs.fields(reason=reason))
        ends.report(Failed(str(reason)))
    else:
        log.error("failed", exc_info=error)
        ends.report(Failed(f"{type(reason).__name__}: {reason}"))
    return ExitStatus.FAILED


def _first_final(error: BaseException) -> BaseException | None:
    """The error, in a group or alone, that a restart cannot help."""
    if isinstance(error, BaseExceptionGroup):
        found = (_first_final(each) for each in error.exceptions)
        return next((each for each in found if each is not None), None)
    return error if isinstance(error, CannotBootError | CorruptStateError) else None


def _is_full_disk(error: BaseException | None) -> bool:
    """Whether the error, or what brought it about, is that of a disk without room."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return True
        if isinstance(error, ResourceExhaustedError) or (
            getattr(error, "sqlite_errorname", "") in _SQLITE_NO_ROOM
        ):
            return True
        error = error.__cause__
    return False


def _leaf(error: BaseException) -> BaseException:
    """The first of a group; what nobody expected goes before what has a sentence of ours."""
    while isinstance(error, BaseExceptionGroup):
        unexpected = error.split(SwarmError)[1] or error
        error = unexpected.exceptions[0]
    return error


def _take_stdin() -> int:
    """Our own copy of standard input; what the worker starts gets /dev/null instead."""
    down = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return down


def _keep_from_children() -> None:
    """The state directory is free when the worker is gone, whatever it started."""
    if LOCK_FD in os.environ:
        os.set_inheritable(int(os.environ.pop(LOCK_FD)), False)


def _leave_with_parent(down: int, grace_seconds: float) -> None:
    """However stuck the loop is: the process ends this long after its parent."""

    def guard() -> None:
        poll = select.poll()
        poll.register(down, 0)  # a hang-up is always told
        poll.poll()
        time.sleep(grace_seconds)
        os._exit(ExitStatus.FAILED)

    threading.Thread(target=guard, name="leave-with-parent", daemon=True).start()
