"""Cgroups of tasks: what limits them, and what knows every descendant of theirs, v2 and v1.

Each task gets a directory `swarmd/<instance>/<task id>` in one hierarchy, so that nothing it forks
can escape being killed, and in further ones as its limits need. On v2 that is one and the same;
hybrid hosts, with v2 beside v1 controllers, get both. They hang below the root of each hierarchy,
where a restarted supervisord finds them again, and where v2 lets controllers be handed down.

Runs inside supervisord: standard library only, and no call that waits.
"""

import contextlib
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from workers.agent.executors.supervisor.messages import Limits

V2: Final = 2
CONTROLLERS: Final = ("cpu", "memory", "pids")
_PERIOD: Final = 100_000  # µs
_SHORTEST_QUOTA: Final = 1_000  # µs, the kernel's own floor


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted tree of cgroups."""

    version: int
    path: Path
    controllers: frozenset[str]


def parse_mounts(text: str) -> list[Hierarchy]:
    """The hierarchies in /proc/mounts; what v2 can control stands in a file, not there."""
    found = []
    for line in text.splitlines():
        _, path, kind, options, *_ = line.split(" ")
        if kind == "cgroup2":
            found.append(Hierarchy(2, Path(path), frozenset()))
        elif kind == "cgroup":
            found.append(Hierarchy(1, Path(path), frozenset(options.split(","))))
    return found


def settings_of(version: int, controller: str, limits: Limits) -> list[tuple[str, str]]:
    """The files that hold a limit, and what to write; a name with `?` may be missing."""
    quota, memory = max(_SHORTEST_QUOTA, round(limits.cpus * _PERIOD)), limits.memory_bytes
    if controller == "pids":
        return [("pids.max", str(limits.pids))]
    if controller == "cpu" and version == V2:
        return [("cpu.max", f"{quota} {_PERIOD}")]
    if controller == "cpu":
        return [("cpu.cfs_period_us", str(_PERIOD)), ("cpu.cfs_quota_us", str(quota))]
    if version == V2:  # as much swap as memory: Docker's default too
        return [("memory.max", str(memory)), ("memory.swap.max?", str(memory))]
    both = ("memory.memsw.limit_in_bytes?", str(2 * memory))
    return [("memory.limit_in_bytes", str(memory)), both]


@dataclass(slots=True)
class TaskCgroup:
    """The cgroups of one task; the first tells who belongs to it."""

    hierarchies: list[tuple[int, Path]]

    def join_files(self) -> list[str]:
        """A process that writes 0 into each of these is in, and so is all that it forks."""
        return [str(path / "cgroup.procs") for _, path in self.hierarchies]

    def kill(self) -> None:
        """SIGKILL to each member, at once on v2; elsewhere repeat until it is empty."""
        version, path = self.hierarchies[0]
        with contextlib.suppress(OSError):
            if version == V2:
                (path / "cgroup.kill").write_text("1")
                return
        if (path / "pids.max").exists():
            _write(path / "pids.max", "0")  # nothing forks its way out of being killed
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def members(self) -> list[int]:
        try:
            return [
                int(pid) for pid in (self.hierarchies[0][1] / "cgroup.procs").read_text().split()
            ]
        except OSError:
            return []  # it is gone, and so are they

    def is_empty(self) -> bool:
        version, path = self.hierarchies[0]
        if version == 1:
            return not self.members()
        return _counter(path / "cgroup.events", "populated") == 0

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed a member because of this task's own limit."""
        files = [
            path / ("memory.events" if v == V2 else "memory.oom_control")
            for v, path in self.hierarchies
        ]
        return any(_counter(file, "oom_kill") for file in files)

    def remove(self) -> bool:
        """Take the directories away; False while something is in them still."""
        for _, path in self.hierarchies:
            for below, _, _ in os.walk(path, topdown=False):  # a task may have made its own there
                with contextlib.suppress(OSError):
                    Path(below).rmdir()
        return not any(path.exists() for _, path in self.hierarchies)


@dataclass(slots=True)
class CgroupTree:
    """The cgroups of all tasks of one supervisord."""

    instance: str
    hierarchies: list[Hierarchy]
    tracker: tuple[int, Path] | None = None
    holders: dict[str, tuple[int, Path]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_this_host(cls, instance: str) -> "CgroupTree":
        tree = cls(instance, parse_mounts(Path("/proc/mounts").read_text()))
        tree.open()
        return tree

    def open(self) -> None:
        """Find out what can be used here, and say why what cannot be."""
        for hierarchy in sorted(self.hierarchies, key=_preference):
            if not self._needs(hierarchy):
                continue
            try:
                self._open(hierarchy)
            except OSError as error:
                for controller in CONTROLLERS:
                    self.unavailable.setdefault(controller, f"{error.filename}: {error.strerror}")
        for controller in CONTROLLERS:
            if controller in self.holders:
                self.unavailable.pop(controller, None)
            else:
                self.unavailable.setdefault(controller, f"no {controller} cgroup is mounted here")

    def _needs(self, hierarchy: Hierarchy) -> bool:
        wanted = set(CONTROLLERS) - self.holders.keys()
        return (
            self.tracker is None or hierarchy.version == V2 or bool(wanted & hierarchy.controllers)
        )

    def _open(self, hierarchy: Hierarchy) -> None:
        base = hierarchy.path / "swarmd" / self.instance
        base.mkdir(parents=True, exist_ok=True)
        self.tracker = self.tracker or (hierarchy.version, base)
        held = (
            hierarchy.controllers
            if hierarchy.version == 1
            else self._hand_down(hierarchy.path, base)
        )
        for controller in set(CONTROLLERS) & held:
            self.holders.setdefault(controller, (hierarchy.version, base))

    def _hand_down(self, root: Path, base: Path) -> set[str]:
        held = set(CONTROLLERS) & set((root / "cgroup.controllers").read_text().split())
        for controller in list(held):
            try:
                for path in (root, root / "swarmd", base):
                    (path / "cgroup.subtree_control").write_text(f"+{controller}")
            except OSError as error:
                self.unavailable[controller] = f"{error.filename}: {error.strerror}"
                held.discard(controller)
        return held

    def create(self, task_id: str, limits: Limits) -> TaskCgroup | None:
        """The cgroups of a task, its limits written; None where this host lets us have none.

        Raises OSError, also for a limit that the kernel refuses.
        """
        if self.tracker is None:
            return None
        wanted = {path: version for version, path in [self.tracker, *self._holders(limits)]}
        group = TaskCgroup([(version, path / task_id) for path, version in wanted.items()])
        for _, path in group.hierarchies:
            path.mkdir(parents=True, exist_ok=True)
        for controller in limits.controllers():
            version, base = self.holders[controller]
            for name, value in settings_of(version, controller, limits):
                _write(base / task_id / name.rstrip("?"), value, optional=name.endswith("?"))
        return group

    def _holders(self, limits: Limits) -> list[tuple[int, Path]]:
        missing = [name for name in limits.controllers() if name not in self.holders]
        if missing:
            raise OSError(f"{missing[0]} limit: {self.unavailable[missing[0]]}")
        return [self.holders[name] for name in limits.controllers()]

    def leftovers(self) -> list[TaskCgroup]:
        """The cgroups that an earlier start of the same supervisord left here."""
        bases = {path: version for version, path in self._bases() if path.is_dir()}
        return [
            TaskCgroup([(version, entry)])
            for base, version in bases.items()
            for entry in base.iterdir()
            if entry.is_dir()
        ]

    def close(self) -> None:
        """Take away what `open` made; it stays where a task is in it still."""
        for base in {path for _, path in self._bases()}:
            with contextlib.suppress(OSError):
                base.rmdir()
                base.parent.rmdir()  # of all instances: only the last one can

    def _bases(self) -> list[tuple[int, Path]]:
        return [self.tracker, *self.holders.values()] if self.tracker else []


def _preference(hierarchy: Hierarchy) -> tuple[bool, bool]:
    return hierarchy.version != V2, "pids" not in hierarchy.controllers


def _write(path: Path, text: str, *, optional: bool = False) -> None:
    if optional and not path.exists():
        return
    path.write_text(text)


def _counter(path: Path, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
