"""The file behind task_db.py: made, opened, checked, and written one transaction at a time.

A file that cannot be trusted is refused before anything in it is touched, with CannotBootError: a
start with half a memory would start tasks twice.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from swarmd import api
from swarmd.errors import CannotBootError

_FORMAT: Final = 1
_SMALLEST_BYTES: Final = 512  # a page of SQLite's
_BOLT: Final = bytes.fromhex("edda0ced")  # how the first page of a bbolt file begins,
_BOLT_OFFSET: Final = 16  # behind its own header
_NO_SPACE: Final = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
_SCHEMA: Final = """
CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    task BLOB NOT NULL,       -- the task as assigned, its status left out
    status BLOB NOT NULL,     -- the newest status
    assigned INTEGER NOT NULL -- 0: no longer assigned, its removal is under way
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Record:
    """A task with its newest status, and whether it is still assigned to this node."""

    task: api.Task
    assigned: bool


@dataclass(slots=True)
class Write:
    """What is to be written of one task; None is left as it is on disk."""

    task: bytes | None = None
    status: bytes | None = None
    assigned: bool | None = None
    forget: bool = False


def open_file(path: Path) -> tuple[sqlite3.Connection, list[Record]]:
    """The file, made where there is none, and all that is in it; raises CannotBootError."""
    try:
        if not path.exists():
            _create(path)
        _refuse_swarmkits(path)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        msg = f"cannot open the task database {path}: {_reason(error)}"
        raise CannotBootError(msg) from error
    try:
        return connection, _read(connection, path)
    except BaseException:
        connection.close()
        raise


def _refuse_swarmkits(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(_BOLT_OFFSET + len(_BOLT))
    if head.endswith(_BOLT) and len(head) == _BOLT_OFFSET + len(_BOLT):
        raise CannotBootError(
            f"{path} is the task database of SwarmKit's own agent, which swarmd does not read: move"
            " it away. The node stays the same, and its tasks are started anew"
        )


def _create(path: Path) -> None:
    """Make it under another name first: an empty file at `path` is then always a damaged one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.new")
    made.unlink(missing_ok=True)
    connection = sqlite3.connect(made, isolation_level=None)
    try:
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
    finally:
        connection.close()
    made.chmod(0o600)
    descriptor = os.open(made, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    made.replace(path)


def _read(connection: sqlite3.Connection, path: Path) -> list[Record]:
    try:
        _check(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        rows = connection.execute("SELECT id, task, status, assigned FROM tasks").fetchall()
        return [_record(*row) for row in rows]
    except sqlite3.OperationalError as error:  # locked, read-only, no room: not the file's fault
        msg = f"cannot use the task database {path}: {_reason(error)}"
        raise CannotBootError(msg) from error
    except (sqlite3.DatabaseError, DecodeError, ValueError) as error:
        raise CannotBootError(_damaged(path, str(error))) from error


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size < _SMALLEST_BYTES:  # which SQLite would take for a new, empty one
        raise CannotBootError(_damaged(path, "it is cut short"))
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise CannotBootError(_damaged(path, found))
    form = connection.execute("PRAGMA user_version").fetchone()[0]
    if form != _FORMAT:
        msg = f"the task database {path} has format {form}, and this swarmd reads {_FORMAT}"
        raise CannotBootError(f"{msg}: use the swarmd version that wrote it")


def _record(task_id: str, raw: bytes, status: bytes, assigned: int) -> Record:
    task = api.Task.FromString(raw)
    task.status.CopyFrom(api.TaskStatus.FromString(status))
    if task.id != task_id:
        msg = f"the row of task {task_id} holds another task"
        raise ValueError(msg)
    return Record(task, bool(assigned))


def _reason(error: Exception) -> str:
    """What SQLite calls an I/O error can be a full disk."""
    if getattr(error, "sqlite_errorname", "") in _NO_SPACE:
        return "the disk is full: free some space"
    return str(error)


def _damaged(path: Path, reason: str) -> str:
    return (
        f"the task database {path} is damaged ({reason}). Nothing was changed. Put a copy of it"
        f" back, or move it away together with {path.name}-wal and {path.name}-shm: this node then"
        " takes its tasks from the manager, and adopts those that still run"
    )


def write(connection: sqlite3.Connection, batch: Mapping[str, Write]) -> None:
    """One transaction; on an error none of it is written."""
    if not batch:
        return
    with _transaction(connection):
        for task_id, change in batch.items():
            _write_one(connection, task_id, change)


def _write_one(connection: sqlite3.Connection, task_id: str, change: Write) -> None:
    values = {
        "id": task_id,
        "task": change.task,
        "status": change.status,
        "assigned": change.assigned,
    }
    if change.forget:
        connection.execute("DELETE FROM tasks WHERE id = :id", values)
    elif change.task is not None:
        connection.execute(
            "INSERT INTO tasks VALUES (:id, :task, ifnull(:status, x''), ifnull(:assigned, 1))"
            " ON CONFLICT (id) DO UPDATE SET task = :task,"
            " status = ifnull(:status, status), assigned = ifnull(:assigned, assigned)",
            values,
        )
    else:
        connection.execute(
            "UPDATE tasks SET status = ifnull(:status, status),"
            " assigned = ifnull(:assigned, assigned) WHERE id = :id",
            values,
        )


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
