"""The ends of processes: to wait for one, and to name it."""

import asyncio
import contextlib
import os
import select
import signal


async def wait_gone(pid: int) -> None:
    """Return when no process of this id runs, at once where none did.

    By a descriptor of the process, not by asking again and again. A child stays a zombie until it
    is waited for, so its id means nobody else meanwhile.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def is_gone(pid: int) -> bool:
    """Whether no process of this id runs; a zombie, that nobody waited for yet, does not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 0)[0])
    finally:
        os.close(descriptor)


def exit_text(status: int) -> str:
    """The end of a process for people: a minus stands for a signal."""
    if status >= 0:
        return f"exit status {status}"
    name = f"signal {-status}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-status).name
    return f"killed by {name}"
