"""What to execute for a worker, and with which environment."""

import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import swarmd
from swarmd.ipc.environment import ALIVE_SECONDS, LOCK_FD, ORPHAN_SECONDS, PREFIX, STATUS_FD
from swarmd.supervision.restarts import Limits

_KEPT_BACK: Final = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")


@dataclass(frozen=True, slots=True)
class Command:
    """One worker's command line, and how long it may take to stop."""

    argv: tuple[str, ...]
    grace_seconds: float = 10.0


GRACE_SECONDS: Final[Mapping[str, float]] = {"agent": 10.0, "manager": 8.0, "etcd": 6.0}


def worker_command(name: str) -> Command:
    """How the worker of this name is executed: by our own interpreter.

    -P, so that a directory named workers where swarmd happens to be started is not taken for ours.
    """
    return Command((sys.executable, "-P", "-m", f"workers.{name}"), GRACE_SECONDS[name])


def worker_environment(
    inherited: Mapping[str, str], limits: Limits, status: int, lock: int
) -> dict[str, str]:
    """The parent's environment without its options, which may be secrets, and with the ends."""
    kept = {
        name: value
        for name, value in inherited.items()
        if not name.startswith(PREFIX) and name not in _KEPT_BACK
    }
    return {
        **_import_path(kept),
        STATUS_FD: str(status),
        LOCK_FD: str(lock),
        ALIVE_SECONDS: str(limits.alive_period_seconds),
        ORPHAN_SECONDS: str(limits.orphan_seconds),
    }


def _import_path(environment: Mapping[str, str]) -> dict[str, str]:
    """See to it that a worker runs the same tree as the parent, where that is not installed."""
    tree = str(Path(swarmd.__file__).resolve().parent.parent)
    if tree == str(Path(sysconfig.get_path("purelib")).resolve()):
        return dict(environment)
    rest = environment.get("PYTHONPATH", "")
    return {**environment, "PYTHONPATH": f"{tree}:{rest}" if rest else tree}
