"""What the agent and the plugin in supervisord tell each other, as JSON.

Standard library only: supervisord imports it too.
"""

import json
from dataclasses import dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Limits:
    """What a cgroup holds a task to; nought is no limit."""

    cpus: float = 0.0
    memory_bytes: int = 0
    pids: int = 0

    def controllers(self) -> list[str]:
        """The cgroup controllers that these limits need."""
        wanted = {"cpu": self.cpus, "memory": self.memory_bytes, "pids": self.pids}
        return [name for name, limit in wanted.items() if limit]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSettings:
    """All that the plugin must know to run a task; everything in it is resolved."""

    id: str
    group: str
    name: str
    file: str
    argv: list[str]
    environment: dict[str, str]
    directory: str
    uid: int
    gid: int
    groups: list[int]
    stdout: str
    stderr: str
    started_mark: str  # a file made just before the only start
    log_bytes: int
    log_backups: int
    stop_signal: int
    grace_seconds: float
    credentials: str = ""  # the directory of its secrets and configs; goes when it ends
    stdin_open: bool = False
    no_new_privileges: bool = False
    oom_score_adj: int = 0
    rlimits: list[tuple[int, int, int]] = field(default_factory=list)  # resource, soft, hard
    mounts: list[tuple[str, str, bool]] = field(default_factory=list)  # source, target, read-only
    limits: Limits = field(default_factory=Limits)

    def to_dict(self) -> dict[str, Any]:
        return _fields(self) | {"limits": _fields(self.limits)}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Self:
        """Raises TypeError for a field that is missing or unknown."""
        limits = Limits(**told.pop("limits"))
        return cls(limits=limits, **told)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramStatus:
    """What became of a program. `ended` is said once nothing of it is left, and only then."""

    id: str
    namespec: str
    state: str  # in supervisord's words
    pid: int = 0
    started: bool = False
    ended: bool = False
    exit_code: int = 0  # 128 + signal where a signal ended it
    signal: int = 0
    out_of_memory: bool = False
    failure: str = ""  # why it could not start
    started_at: float = 0.0
    ended_at: float = 0.0
    cgroups: list[str] = field(default_factory=list)  # the files that take a pid into its cgroups

    def to_dict(self) -> dict[str, Any]:
        return _fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostInfo:
    """What a supervisord says of itself."""

    version: str
    pid: int
    uid: int
    boot: str  # differs after each of its starts: what it ran before is gone
    unavailable: dict[str, str]  # cgroup controllers that cannot be used, and why

    def to_dict(self) -> dict[str, Any]:
        return _fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The programs that changed after a number, or all of them where `boot` is another."""

    boot: str
    number: int
    whole: bool
    programs: list[ProgramStatus]

    def to_json(self) -> str:
        programs = [status.to_dict() for status in self.programs]
        return json.dumps(_fields(self) | {"programs": programs})

    @classmethod
    def from_json(cls, text: str) -> Self:
        told = json.loads(text)
        programs = [ProgramStatus(**status) for status in told.pop("programs")]
        return cls(programs=programs, **told)


def _fields(message: Any) -> dict[str, Any]:
    # dataclasses.asdict copies deeply: a third of what an agent does to start a thousand tasks.
    return {one.name: getattr(message, one.name) for one in fields(message)}
