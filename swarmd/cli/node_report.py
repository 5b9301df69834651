"""What the parent last wrote of itself and its workers, and whether that parent lives."""

import fcntl
import json
import os
from dataclasses import dataclass, field
from typing import Any, Self

from swarmd.state_dir import StateDir


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
        return cls(alive=is_locked(state_dir), facts=facts)

    @property
    def ready(self) -> bool:
        return self.alive and bool(self.facts.get("ready"))

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
