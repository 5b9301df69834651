"""Where each file of a node lives on disk, and how one is replaced atomically."""

import contextlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PRIVATE_DIR: Final = 0o700
PRIVATE_FILE: Final = 0o600
LONGEST_SOCKET: Final = 107  # bytes of a unix socket's path; the kernel's
_TEMPORARY_SUFFIX: Final = 9


@dataclass(frozen=True, slots=True)
class StateDir:
    """The names below one state directory; SwarmKit's own names where it has the file too."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by the one parent that owns this directory."""
        return self.root / "swarmd.lock"

    @property
    def node_report(self) -> Path:
        """What the parent last said of itself and its workers (JSON), for `swarmd status`."""
        return self.root / "run" / "node.json"

    @property
    def remotes(self) -> Path:
        """The managers this node knows (SwarmKit's file)."""
        return self.root / "state.json"

    @property
    def join_settings(self) -> Path:
        """Which cluster to join and with which token, until that is done: in no process list."""
        return self.root / "join.json"

    @property
    def root_ca(self) -> Path:
        return self.root / "certificates" / "swarm-root-ca.crt"

    @property
    def node_certificate(self) -> Path:
        return self.root / "certificates" / "swarm-node.crt"

    @property
    def node_key(self) -> Path:
        return self.root / "certificates" / "swarm-node.key"

    @property
    def store(self) -> Path:
        """The manager's SQLite store."""
        return self.root / "store" / "swarm.db"

    @property
    def etcd(self) -> Path:
        """The etcd of this manager, where several keep the store together: its own directory."""
        return self.root / "etcd"

    @property
    def quorum(self) -> Path:
        """Which managers those are (JSON); without it, this one keeps the store alone."""
        return self.etcd / "quorum.json"

    @property
    def tasks_db(self) -> Path:
        """The agent's memory of its tasks."""
        return self.root / "worker" / "tasks.db"

    @property
    def containers_of(self) -> Path:
        """The name that marks this node's containers."""
        return self.root / "worker" / "containers-of"

    @property
    def container_engines(self) -> Path:
        """The addresses of all engines that may have some, a line each."""
        return self.root / "worker" / "containers-at"

    @property
    def tasks(self) -> Path:
        """A directory a task: its output and its files."""
        return self.root / "tasks"

    @property
    def volumes(self) -> Path:
        """Where cluster volumes are mounted, below the name of their plugin."""
        return self.root / "csi"

    @property
    def supervisor(self) -> Path:
        """The supervisord that a swarmd started by hand brings along."""
        return self.root / "supervisor"

    @property
    def own_supervisord_socket(self) -> Path:
        """The socket of that supervisord."""
        return supervisord_socket(self.supervisor)

    def kept(self) -> list[Path]:
        """What a node keeps of its cluster and its tasks; its logs and options are none of that."""
        places = (self.root_ca, self.store, self.quorum, self.tasks_db, self.tasks / "any")
        directories = [one.parent for one in places]
        directories += self.root.glob(f"{self.etcd.name}.gone.*")
        with_content = [one for one in directories if one.is_dir() and any(one.iterdir())]
        return [*with_content, *(one for one in (self.remotes, self.join_settings) if one.exists())]

    def make(self) -> None:
        """Create every directory, private to its owner; raises OSError."""
        for path in (self.node_report, self.root_ca, self.store, self.tasks_db):
            path.parent.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        for path in (self.tasks, self.supervisor):
            path.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)


def supervisord_socket(directory: Path) -> Path:
    """Where a supervisord of this directory listens: in it, or in a short one where that is long.

    The kernel takes 107 bytes, and supervisord binds to `path.pid` first, then links it.
    """
    path = directory / "supervisord.sock"
    if len(os.fsencode(path)) + _TEMPORARY_SUFFIX <= LONGEST_SOCKET:
        return path
    import hashlib  # noqa: PLC0415  it brings OpenSSL along, which the parent is spared

    short = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"swarmd-{os.getuid()}-{short}" / path.name


def make_socket_directory(directory: Path) -> Path:
    """That socket's path, in a directory that is there and is this user's alone; raises OSError."""
    socket = supervisord_socket(directory)
    if socket.parent == directory:
        directory.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        return socket
    socket.parent.mkdir(mode=PRIVATE_DIR, exist_ok=True)
    found = socket.parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{socket.parent} is not a private directory of this user")
    return socket


def replace_file(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Put `data` at `path` whole or not at all, and on disk before this returns; raises OSError."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
