"""One node to a state directory: a lock that the parent takes and its workers inherit.

After a crash of the parent, the workers that it left behind still hold the lock, for the second
that they need to leave. So a next parent waits, and never runs workers beside them.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from swarmd import logs
from swarmd.clock import Clock
from swarmd.errors import CannotBootError, SwarmError
from swarmd.supervision.exits import is_gone

log = logs.get_logger(__name__)
OWNER_SECONDS: Final = 3.0  # for a parent that is just leaving
ORPHAN_SECONDS: Final = 6.0  # longer than a worker's stop path may take without its parent
_POLL_SECONDS: Final = 0.05
_SAY_SECONDS: Final = 0.3  # who only looks whether it is held, holds it for a moment


class StateDirInUseError(CannotBootError):
    """Another swarmd owns the directory."""


class OrphansError(SwarmError):
    """Workers of a swarmd that is gone do not leave; a later try may find them gone."""


@contextlib.asynccontextmanager
async def hold_lock(path: Path, clock: Clock, unless: asyncio.Event) -> AsyncIterator[int | None]:
    """Own the state directory of this lock file; gives the descriptor, for workers to inherit.

    Gives None, and owns nothing, where `unless` is set before the lock is free.
    Raises StateDirInUseError, OrphansError, or CannotBootError where the file cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        msg = f"cannot open the lock of the state directory: {error}"
        raise CannotBootError(msg) from error
    try:
        if await _wait(descriptor, path, clock, unless):
            _sign(descriptor, path)
            yield descriptor
        else:
            yield None
    finally:
        os.close(descriptor)


async def _wait(descriptor: int, path: Path, clock: Clock, unless: asyncio.Event) -> bool:
    """Try again and again: a lock tells nobody that it is free without blocking a thread."""
    begun_at, said = clock.monotonic(), False
    while not _try(descriptor):
        if unless.is_set():
            return False
        waited = clock.monotonic() - begun_at
        _refuse(waited, descriptor, path)
        if waited >= _SAY_SECONDS and not said:
            said = True
            log.info("waits for the state directory", extra=logs.fields(lock=path))
        await clock.sleep(_POLL_SECONDS)
    return True


def _sign(descriptor: int, path: Path) -> None:
    """Say whose it is; on a full disk that is the first thing that fails."""
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        msg = f"cannot write the lock of the state directory, {path}: {error.strerror}"
        raise CannotBootError(msg) from error


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refuse(waited: float, descriptor: int, path: Path) -> None:
    holder = os.pread(descriptor, 32, 0).strip().decode(errors="replace")
    if waited >= OWNER_SECONDS and holder.isdecimal() and not is_gone(int(holder)):
        msg = f"{path.parent} is in use by another swarmd, pid {holder}"
        raise StateDirInUseError(msg)
    if waited >= ORPHAN_SECONDS:
        msg = f"{path.parent} is held by workers that a killed swarmd, pid {holder}, left behind"
        raise OrphansError(msg)
