"""Between fork and exec: what a task's process does to itself, in this order.

Runs in the child of supervisord, with the signals that supervisord handles blocked until exec, so
that a stop signal sent right after the fork is not lost. Names were looked up long before.
"""

import ctypes
import os
import resource
import signal
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from workers.agent.executors.supervisor.messages import ProgramSettings

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_UMASK: Final = 0o022
_MOST_DESCRIPTORS: Final = 1 << 20
_CLONE_NEWNS: Final = 0x20000
_MS_RDONLY: Final = 1
_MS_REMOUNT: Final = 32
_MS_BIND: Final = 4096
_MS_REC: Final = 16384
_MS_SLAVE: Final = 1 << 19
_libc = ctypes.CDLL(None, use_errno=True)
_prctl, _unshare, _mount = _libc.prctl, _libc.unshare, _libc.mount
HANDLED: Final = (  # by supervisord and its plugin, in Python: what it catches after a fork is lost
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGCHLD,
    signal.SIGUSR2,
    signal.SIGALRM,
)
_IGNORED: Final = (signal.SIGPIPE, signal.SIGXFSZ)  # by Python; exec would keep them so


class ChildError(Exception):
    """The text names the step that did not work."""


class Descriptors(NamedTuple):
    """What the child keeps: its three streams, and where it says that it could not exec."""

    stdin: int
    stdout: int
    stderr: int
    errors: int


@dataclass(frozen=True, slots=True)
class Child:
    """One process to be; everything in it is ready before the fork."""

    settings: ProgramSettings
    marks: dict[str, str]
    join_files: list[str]
    parent: int

    def to_dict(self) -> dict[str, Any]:
        fields = {"marks": self.marks, "join_files": self.join_files, "parent": self.parent}
        return {"settings": self.settings.to_dict(), **fields}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        return cls(settings=ProgramSettings.from_dict(fields.pop("settings")), **fields)

    def run(self, descriptors: Descriptors) -> None:
        """Become the task's command; never returns."""
        try:
            self._session()
            self._streams(descriptors)
            self._limits()
            self._mounts()
            self._identity()
            self._exec()
        except BaseException as error:  # noqa: BLE001 - it must not go on as a second supervisord
            os.write(descriptors.errors, str(error).encode()[:4000])
        finally:
            os._exit(127)

    def _session(self) -> None:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (*HANDLED, *_IGNORED):
            signal.signal(number, signal.SIG_DFL)

    def _streams(self, keep: Descriptors) -> None:
        for descriptor, target in ((keep.stdin, 0), (keep.stdout, 1), (keep.stderr, 2)):
            os.dup2(descriptor, target)
        os.set_inheritable(keep.errors, False)
        os.closerange(3, keep.errors)
        os.closerange(keep.errors + 1, _MOST_DESCRIPTORS)

    def _limits(self) -> None:
        for file in self.join_files:
            _put(file, b"0")
        for number, soft, hard in self.settings.rlimits:
            try:
                resource.setrlimit(number, (soft, hard))
            except (OSError, ValueError) as error:
                message = f"cannot set ulimit {number} to {soft}:{hard}: {error}"
                raise ChildError(message) from error
        if self.settings.oom_score_adj:
            _put("/proc/self/oom_score_adj", str(self.settings.oom_score_adj).encode())

    def _mounts(self) -> None:
        """Its volumes: this process and its children alone see them, besides the host's mounts."""
        if not self.settings.mounts:
            return
        if _unshare(_CLONE_NEWNS) or _mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None):
            reason = os.strerror(ctypes.get_errno())
            raise ChildError(f"cannot have mounts of its own: {reason}")
        for source, target, readonly in self.settings.mounts:
            _make_mount_point(source, target)
            flags = [_MS_BIND | _MS_REC]
            if readonly:
                flags.append(_MS_BIND | _MS_REMOUNT | _MS_RDONLY)
            for each in flags:
                if _mount(source.encode(), target.encode(), None, each, None):
                    reason = os.strerror(ctypes.get_errno())
                    raise ChildError(f"cannot mount its volume at {target}: {reason}")

    def _identity(self) -> None:
        wanted = self.settings
        if os.getuid() == 0:
            os.setgroups(wanted.groups)
            os.setresgid(wanted.gid, wanted.gid, wanted.gid)
            os.setresuid(wanted.uid, wanted.uid, wanted.uid)
        if wanted.no_new_privileges and _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise ChildError("cannot set no_new_privileges")
        die_with_parent(self.parent)  # last: a change of user would undo it

    def _exec(self) -> None:
        wanted = self.settings
        os.umask(_UMASK)
        try:
            os.chdir(wanted.directory.encode())
        except OSError as error:
            raise ChildError(f"cannot enter {wanted.directory}: {error.strerror}") from error
        argv = [argument.encode() for argument in wanted.argv]
        every = wanted.environment | self.marks
        environment = {name.encode(): value.encode() for name, value in every.items()}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        try:
            os.execve(wanted.file.encode(), argv, environment)  # noqa: S606 - what a task is
        except OSError as error:
            raise ChildError(f"cannot run {wanted.file}: {error.strerror}") from error


def die_with_parent(parent: int) -> None:
    """SIGKILL for this process when that one ends; raises ChildError where it has already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise ChildError("supervisord ended")


def _make_mount_point(source: str, target: str) -> None:
    """A directory, or a file for a block device, where there is none yet."""
    try:
        if os.path.exists(target):  # noqa: PTH110  pathlib is not looked up after a fork
            return
        is_directory = os.path.isdir(source)  # noqa: PTH112
        os.makedirs(target if is_directory else os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
        if not is_directory:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError as error:
        raise ChildError(f"cannot make {target} for its volume: {error.strerror}") from error


def _put(path: str, data: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ChildError(f"cannot write {path}: {error.strerror}") from error
