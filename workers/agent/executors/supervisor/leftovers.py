"""What a task left behind: processes, known by the marks in their environment, and files.

A cgroup knows its members for sure; the marks are for hosts that let us have none. Standard library
only: runs inside supervisord.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from workers.agent.executors.supervisor.cgroup import CgroupTree

TASK_MARK: Final = "SWARMD_TASK_ID"
INSTANCE_MARK: Final = "SWARMD_SUPERVISOR"
_SWEEP_SECONDS: Final = 2.0
_OWNER_WRITES: Final = 0o700


def marked(instance: str) -> Iterator[tuple[int, str]]:
    """The pid and task id of every process that this supervisord's tasks started."""
    ours = f"{INSTANCE_MARK}={instance}".encode()
    task = f"{TASK_MARK}=".encode()
    for pid in _pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended, or is another user's
        if ours in environment:
            ids = [entry[len(task) :] for entry in environment if entry.startswith(task)]
            yield pid, ids[0].decode(errors="replace") if ids else ""


def kill_marked(instance: str, task_ids: set[str] | None = None) -> set[str]:
    """SIGKILL to what is left of these tasks, or of all; the ids of those that had something."""
    found = set()
    for pid, task_id in marked(instance):
        if task_ids is None or task_id in task_ids:
            found.add(task_id)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    return found


def sweep(instance: str, tree: CgroupTree) -> bool:
    """Kill all that an earlier start left, within two seconds; False where something stays."""
    deadline = time.monotonic() + _SWEEP_SECONDS
    while time.monotonic() < deadline:
        groups = tree.leftovers()
        for group in groups:
            group.kill()
        removed = [group.remove() for group in groups]
        if not kill_marked(instance) and all(removed):
            return True
        time.sleep(0.01)
    return False


def remove_tree(directory: Path) -> None:
    """Remove a directory that may be read-only; follows no link, and what is gone is fine."""
    if os.getuid() != 0:  # root may write anywhere; others have taken the right from themselves
        for below, _, _ in os.walk(directory):
            Path(below).chmod(_OWNER_WRITES)
    shutil.rmtree(directory, ignore_errors=True)


def _pids() -> Iterator[int]:
    own = os.getpid()
    for name in os.listdir("/proc"):  # noqa: PTH208 - a thousand Paths cost more than the look
        if name.isdigit() and int(name) != own:
            yield int(name)
