"""Secrets and configs of host processes: files below the directory CREDENTIALS_DIRECTORY names.

As systemd does it: in memory, never on a disk, for the task's user alone, and gone with the task:
the plugin in supervisord removes them when it ends, whether an agent runs or not.

    /run/swarmd-<node>/            ours; may be passed through, not listed
        <task id>/                 0500, the task's user's
            <target>               the mode of the reference, 0400 where it says none
"""

import asyncio
import contextlib
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from swarmd import api
from workers.agent.executors.errors import RejectedError
from workers.agent.executors.supervisor.account import Account
from workers.agent.executors.supervisor.leftovers import remove_tree
from workers.agent.executors.supervisor.program import CREDENTIALS
from workers.agent.payloads import Payloads

_PLACES: Final = ("/run", f"/run/user/{os.getuid()}", "/dev/shm")  # noqa: S108 - memory is meant
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_PASS_THROUGH: Final = 0o711
_OWNER_ONLY: Final = 0o500
_OWNER_WRITES: Final = 0o700
_READ_BY_OWNER: Final = 0o400
_PERMISSIONS: Final = 0o777


@dataclass(frozen=True, slots=True)
class Credential:
    """One file to be; what is in it is never shown."""

    target: str
    data: bytes = field(repr=False)
    mode: int
    uid: int
    gid: int


def are_wanted(container: api.ContainerSpec) -> bool:
    """Whether the task is to find any files."""
    return bool(container.secrets) or any(one.HasField("file") for one in container.configs)


def plan(container: api.ContainerSpec, payloads: Payloads, account: Account) -> list[Credential]:
    """The files of a task; raises RejectedError for what cannot be had, naming the target."""
    found = [
        _credential("secrets", one.file, payloads.secret(one.secret_id), account)
        for one in container.secrets
    ]
    found += [
        _credential("configs", one.file, payloads.config(one.config_id), account)
        for one in container.configs
        if one.HasField("file")
    ]
    _check_apart([one.target for one in found])
    return found


def _credential(field: str, file: api.FileTarget, data: bytes, account: Account) -> Credential:
    _check_target(field, file.name)
    uid = _owner(field, file.name, file.uid, account.uid, os.getuid())
    gid = _owner(field, file.name, file.gid, account.gid, os.getgid())
    return Credential(file.name, data, file.mode & _PERMISSIONS or _READ_BY_OWNER, uid, gid)


def _check_target(field: str, target: str) -> None:
    """A name, or a path of names below the directory."""
    if target.startswith("/"):
        raise RejectedError(
            f"{field}: target {target}: a host process finds its files below ${CREDENTIALS}, so a"
            " target is a relative path"
        )
    if "\0" in target or any(part in ("", ".", "..") for part in target.split("/")):
        raise RejectedError(f"{field}: target {target!r} is not a name of a file")


def _check_apart(targets: Sequence[str]) -> None:
    """No target is there twice, and none is a directory of another."""
    taken = set(targets)
    if len(taken) < len(targets):
        double = next(one for one in targets if targets.count(one) > 1)
        raise RejectedError(f"secrets and configs: target {double} is given twice")
    for target in targets:
        for parent in list(Path(target).parents)[:-1]:
            if str(parent) in taken:
                raise RejectedError(f"secrets and configs: target {parent} is a directory too")


def _owner(field: str, target: str, asked: str, own: int, agent: int) -> int:
    """Clients fill in 0 where nobody asked: an agent that is not root takes it for the task's."""
    if asked and not asked.isdecimal():
        raise RejectedError(f"{field}: target {target}: owner {asked} is not a number")
    if agent == 0:
        return int(asked) if asked else own
    if asked not in ("", "0", str(own)):
        raise RejectedError(f"{field}: target {target}: only root can give a file to {asked}")
    return own


class CredentialStore:
    """The credentials of all tasks of one engine. Every call blocks a little."""

    def __init__(self, state_dir: Path, places: Sequence[str] = _PLACES) -> None:
        name = hashlib.sha256(os.fsencode(state_dir.absolute())).hexdigest()[:12]
        self._bases = [Path(place) / f"swarmd-{name}" for place in places]
        self._kept: set[str] = set()
        self._lock = threading.Lock()  # calls come from several threads, and share the bases

    def directory(self, task_id: str) -> Path:
        """Where a task's files are, or would be; raises RejectedError where they may not be."""
        for base in self._bases:
            if _is_memory(base.parent) and os.access(base.parent, os.W_OK):
                return base / task_id
        places = ", ".join(str(base.parent) for base in self._bases)
        raise RejectedError(
            f"secrets: this host has no memory to keep them in: none of {places} is a tmpfs that"
            " swarmd can write to"
        )

    def keep(self, task_id: str, files: Iterable[Credential], account: Account) -> None:
        """Write a task's files, anew where there are any; raises RejectedError."""
        directory = self.directory(task_id)
        with self._lock:
            self._kept.add(task_id)
            try:
                _fill(directory, files, account)
            except OSError as error:
                remove_tree(directory)
                reason = f"{directory.parent}: {error.strerror or type(error).__name__}"
                raise RejectedError(f"secrets: cannot be kept in {reason}") from None

    def discard(self, task_id: str) -> None:
        """Remove a task's files, if there are any."""
        with self._lock:
            for base in self._bases:
                remove_tree(base / task_id)
                with contextlib.suppress(OSError):
                    base.rmdir()  # the last one out

    def found(self) -> set[str]:
        """The tasks that have files, now."""
        return {path.name for base in self._bases for path in _entries(base)}

    def sweep(self, task_ids: Iterable[str]) -> None:
        """Discard what an earlier agent kept for these tasks; what we have kept since stays."""
        for task_id in task_ids:
            if task_id not in self._kept:
                self.discard(task_id)


class TaskCredentials:
    """The credentials of one task, in the store of its engine."""

    def __init__(
        self,
        store: CredentialStore,
        task: api.Task,
        payloads: Callable[[api.ContainerSpec], Payloads],
    ) -> None:
        self._store = store
        self._task_id = task.id
        self._payloads = payloads
        self._are_wanted = are_wanted(task.spec.container)

    def directory(self) -> str:
        """Where its files are, or would be; empty where it has none. Raises RejectedError."""
        return str(self._store.directory(self._task_id)) if self._are_wanted else ""

    async def keep(self, container: api.ContainerSpec, account: Account) -> None:
        """Write its files, for this account; raises RejectedError."""
        if self._are_wanted:
            files = plan(container, self._payloads(container), account)
            await asyncio.to_thread(self._store.keep, self._task_id, files, account)

    async def discard(self) -> None:
        """The task has ended, or never will begin: nothing of them stays."""
        if self._are_wanted:
            await asyncio.to_thread(self._store.discard, self._task_id)


def _is_memory(place: Path) -> bool:
    """Whether files there are in memory, by the mount that the directory is on."""
    try:
        device = place.stat().st_dev
        mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}"
    kinds = {
        line.partition(" - ")[2].split(" ")[0]
        for line in mounts.splitlines()
        if line.split(" ")[2] == wanted
    }
    return bool(kinds & _IN_MEMORY)


def _make_base(base: Path) -> None:
    """Ours alone: others may share the place, so one that was there first must not be theirs."""
    with contextlib.suppress(FileExistsError):
        base.mkdir(mode=_OWNER_WRITES)
    about = base.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
        raise RejectedError(f"secrets: {base} is not a directory of swarmd's own")
    base.chmod(_PASS_THROUGH)


def _fill(directory: Path, files: Iterable[Credential], account: Account) -> None:
    _make_base(directory.parent)
    remove_tree(directory)
    directory.mkdir(mode=_OWNER_WRITES)
    for file in files:
        _write(directory, file)
    _give(directory, account)


def _write(directory: Path, file: Credential) -> None:
    path = directory / file.target
    path.parent.mkdir(mode=_OWNER_WRITES, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, _READ_BY_OWNER), "wb") as out:
        os.fchown(out.fileno(), file.uid, file.gid)
        os.fchmod(out.fileno(), file.mode)
        out.write(file.data)


def _give(directory: Path, account: Account) -> None:
    """From here on the task's user can read it; what is deepest goes first."""
    for below, _, _ in os.walk(directory, topdown=False):
        os.chown(below, account.uid, account.gid)
        Path(below).chmod(_OWNER_ONLY)


def _entries(base: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from base.iterdir()
