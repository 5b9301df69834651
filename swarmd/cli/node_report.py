"""What the parent last wrote of itself and its workers, and whether that parent lives."""

import fcntl
import json
import os
from dataclasses import dataclass, field
from typing import Any, Final, Self

from swarmd.state_dir import StateDir
from swarmd.supervision.exits import is_gone

_KILLED: Final = "its parent was killed, and its workers leave"


@dataclass(frozen=True, slots=True)
class NodeReport:
    """run/node.json of a state directory; `alive` is told by the lock, never by the file's age."""

    alive: bool
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, state_dir: StateDir) -> Self:
        """The report as it is now; an unreadable one counts as none. Raises PermissionError."""
        try:
            facts = json.loads(state_dir.node_report.read_bytes())
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            facts = {}
        alive = is_locked(state_dir)
        if alive and facts and is_gone(int(facts["pid"])):
            facts |= {"pid": 0, "ready": False, "phase": "stopping", "reason": _KILLED}
        return cls(alive=alive, facts=facts)

    @property
    def ready(self) -> bool:
        return self.alive and bool(self.facts.get("ready"))

    @property
    def leaves(self) -> bool:
        """Whether it is on its way out: the directory is free soon, and nobody starts by itself."""
        return self.alive and self.facts.get("phase") in ("stopping", "stopped")

    @property
    def pid(self) -> int:
        """The parent's process id; 0 when none lives."""
        return int(self.facts.get("pid", 0)) if self.alive else 0


def is_locked(state_dir: StateDir) -> bool:
    """Whether a swarmd, or a worker that one left behind, owns this state directory now."""
    try:
        descriptor = os.open(state_dir.lock, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
