"""Secrets and configs as files of this node, in memory, for as long as their task lives.

    <tmpfs>/swarmd-<owner>/<task>/0, 1, …

Only root reads the directories; each file is mounted by itself into its container, where it has the
mode and the owner that its reference asks.
"""

import contextlib
import os
import shutil
import stat
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from swarmd import api
from workers.agent.executors.docker import mounts
from workers.agent.executors.errors import RejectedError
from workers.agent.payloads import Payloads

_PLACES: Final = (Path("/run"), Path("/dev/shm"))  # noqa: S108  our directory there is private
_PRIVATE: Final = 0o700
_SECRETS: Final = PurePosixPath("/run/secrets")
_CONFIGS: Final = PurePosixPath("/")


class TaskFiles:
    """The files of all tasks of one node."""

    def __init__(self, owner: str, places: Sequence[Path] = _PLACES) -> None:
        self._owner = owner
        self._places = places
        self._lock = threading.Lock()  # calls come from several threads, and share the places

    def write(
        self,
        task_id: str,
        spec: api.ContainerSpec,
        payloads: Payloads,
        root: tuple[int, int] = (0, 0),
    ) -> list[dict[str, Any]]:
        """Write all that the spec refers to; returns their mounts. Raises RejectedError.

        `root` is whom the container's root is on this host.
        """
        wanted = [*_secrets(spec, payloads), *_configs(spec, payloads)]
        if not wanted:
            return []
        with self._lock:
            directory = self._directory() / task_id
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(mode=_PRIVATE)
        try:
            return [
                _write(directory / str(number), each, root) for number, each in enumerate(wanted)
            ]
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise

    def remove(self, task_id: str) -> None:
        """Leave nothing of the task."""
        with self._lock:
            for place in self._roots():
                shutil.rmtree(place / task_id, ignore_errors=True)
                with contextlib.suppress(OSError):
                    place.rmdir()  # the last one out

    def found(self) -> set[str]:
        """The tasks that have files, now."""
        with self._lock:
            return {directory.name for place in self._roots() for directory in place.iterdir()}

    def _roots(self) -> Iterable[Path]:
        found = (place / f"swarmd-{self._owner}" for place in self._places)
        return (path for path in found if path.is_dir() and not path.is_symlink())

    def _directory(self) -> Path:
        """Ours, below the first place that is in memory; raises RejectedError."""
        memory = _in_memory()
        for place in self._places:
            if str(place) in memory or any(str(parent) in memory for parent in place.parents[:-1]):
                return _private(place / f"swarmd-{self._owner}")
        places = " nor ".join(map(str, self._places))
        raise RejectedError(f"secrets and configs: neither {places} of this host is in memory")


def _private(path: Path) -> Path:
    try:
        path.mkdir(mode=_PRIVATE, exist_ok=True)
    except OSError as error:
        raise RejectedError(f"secrets and configs: {path}: {error.strerror}") from error
    about = path.lstat()
    is_ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()
    if not is_ours or stat.S_IMODE(about.st_mode) != _PRIVATE:
        raise RejectedError(f"secrets and configs: {path} is not ours alone")
    return path


def _in_memory() -> set[str]:
    """Where a tmpfs is mounted."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return {words[1] for words in mounts if words[2] in ("tmpfs", "ramfs")}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One file: `what` names it in a refusal, `target` is its path in the container."""

    what: str
    target: PurePosixPath
    file: api.FileTarget
    data: bytes


def _secrets(spec: api.ContainerSpec, payloads: Payloads) -> Iterable[_Wanted]:
    for reference in spec.secrets:
        what = f"secrets: {reference.secret_name}"
        if reference.WhichOneof("target") != "file":
            raise RejectedError(f"{what}: has no file as its target")
        data = payloads.secret(reference.secret_id)
        yield _Wanted(what, _SECRETS / reference.file.name, reference.file, data)


def _configs(spec: api.ContainerSpec, payloads: Payloads) -> Iterable[_Wanted]:
    for reference in spec.configs:
        what = f"configs: {reference.config_name}"
        if reference.WhichOneof("target") != "file":
            raise RejectedError(f"{what}: has no file as its target")
        data = payloads.config(reference.config_id)
        yield _Wanted(what, _CONFIGS / reference.file.name, reference.file, data)


def _write(path: Path, wanted: _Wanted, root: tuple[int, int]) -> dict[str, Any]:
    what, file = wanted.what, wanted.file
    uid, gid = _number(what, "uid", file.uid), _number(what, "gid", file.gid)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as writer:
            writer.write(wanted.data)
            os.fchown(writer.fileno(), root[0] + uid, root[1] + gid)
            os.fchmod(writer.fileno(), stat.S_IMODE(file.mode))
    except OSError as error:
        raise RejectedError(f"{what}: cannot be given to {uid}:{gid}: {error.strerror}") from error
    return mounts.read_only_file(str(path), str(wanted.target))


def _number(what: str, field: str, text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise RejectedError(f"{what}: {field} {text} is not a number")
    return int(text)
