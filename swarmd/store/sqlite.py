"""The backend of a single manager: one SQLite file; its lease is always held.

WAL with synchronous=FULL: a commit is one write and one fsync, and a crash at any moment leaves
the transactions up to one of them, whole. All calls run in one thread of their own. Each row has a
checksum, since SQLite sees damage to its pages' structure, not to what is in them.

The file is opened for writing only once all of it was read and found sound, so that a damaged one
is left as it was found.
"""

import asyncio
import contextlib
import errno
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from swarmd.errors import CannotBootError, ResourceExhaustedError, SwarmError, UnavailableError
from swarmd.state_dir import PRIVATE_FILE
from swarmd.store.backend import AlwaysHeld, Lease, Loaded, Row, corrupt

T = TypeVar("T")
SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    BEGIN;
    CREATE TABLE objects (
        kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
        checksum INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (kind, id)
    );
    CREATE TABLE meta (
        only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    );
    COMMIT;
"""
_PUT_VERSION: Final = "INSERT OR REPLACE INTO meta VALUES (1, ?, ?)"
_PUT: Final = """
    INSERT INTO objects (kind, id, version, checksum, data) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (kind, id) DO UPDATE SET
        version = excluded.version, checksum = excluded.checksum, data = excluded.data
"""
# A damaged value may have any type: as a blob its checksum can be taken, and is found wrong.
_SELECT: Final = "SELECT kind, id, version, CAST(data AS BLOB), checksum FROM objects"
_DELETE: Final = "DELETE FROM objects WHERE kind = ? AND id = ?"
# What is in the WAL at most before it moves to the file: 16 MiB, as fewer moves mean fewer fsyncs.
_CHECKPOINT_PAGES: Final = 4_000
_NO_SPACE: Final = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
_DAMAGED: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class SqliteBackend:
    """One file, with `-wal` and `-shm` beside it; the caller sees to it that no other opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lease: Lease = AlwaysHeld()
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    @property
    def place(self) -> str:
        return str(self.path)

    async def load(self) -> Loaded:
        return await self._call(self._load)

    async def commit(self, version: int, rows: Sequence[Row]) -> None:
        await self._call(lambda: self._commit(version, rows))

    async def close(self) -> None:
        if self._thread is not None:
            await self._call(self._disconnect)
            self._thread.shutdown()
            self._thread = None

    async def _call(self, function: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    # What follows runs in the thread.

    def _load(self) -> Loaded:
        with self._boot_errors():
            if not self.path.exists():
                self._create()
            loaded = self._read()
            with self._writable() as connection:
                connection.execute("BEGIN IMMEDIATE")
                # Rolled back: what cannot be written fails now, rather than at the first change.
                connection.execute(_PUT_VERSION, (loaded.version, 0))
        return loaded

    def _create(self) -> None:
        """A file that is there is whole: it is made under another name. An empty one is damage."""
        for left in (self._beside("-wal"), self._beside("-journal")):
            if left.exists() and left.stat().st_size:
                raise corrupt(self.place, f"it is gone, while {left.name} is still there")
        new = self._beside(".new")
        for stale in (new, *(new.with_name(new.name + end) for end in ("-wal", "-shm"))):
            stale.unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.executescript(_SCHEMA)
            connection.execute(_PUT_VERSION, (0, _version_checksum(0)))
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        new.rename(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _read(self) -> Loaded:
        if self.path.stat().st_size == 0:
            raise corrupt(self.place, "it is empty")
        uri = f"file:{quote(str(self.path.absolute()))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        with contextlib.closing(connection):
            self._check_schema(connection)
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise corrupt(self.place, found)
            return Loaded(self._read_version(connection), list(self._read_rows(connection)))

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        if schema == 0:
            raise corrupt(self.place, "it is not a swarmd store")
        if schema > SCHEMA_VERSION:
            message = (
                f"{self.place} was written by a newer swarmd (its schema is {schema}, this one "
                f"knows {SCHEMA_VERSION}): run that one"
            )
            raise CannotBootError(message)

    def _read_version(self, connection: sqlite3.Connection) -> int:
        row = connection.execute("SELECT version, checksum FROM meta").fetchone()
        if row is None or row[1] != _version_checksum(row[0]):
            raise corrupt(self.place, "its version is missing or wrong")
        return int(row[0])

    def _read_rows(self, connection: sqlite3.Connection) -> Iterator[Row]:
        rows = connection.execute(_SELECT)
        for *fields, checksum in rows:
            row = Row(*fields)
            if checksum != _checksum(row):
                raise corrupt(self.place, f"the checksum of {row.kind} {row.id} is wrong")
            yield row

    def _commit(self, version: int, rows: Sequence[Row]) -> None:
        with self._commit_errors(), self._writable() as connection:
            puts = [(*row[:3], _checksum(row), row.data) for row in rows if row.data is not None]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_PUT, puts)
            connection.executemany(_DELETE, [row[:2] for row in rows if row.data is None])
            connection.execute(_PUT_VERSION, (version, _version_checksum(version)))
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def _writable(self) -> Iterator[sqlite3.Connection]:
        """The connection; what is not committed at the end of the block is rolled back."""
        if self._connection is None:
            self._connection = self._connect()
        try:
            yield self._connection
        finally:
            try:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                self._disconnect()  # the next change has a new one

    def _connect(self) -> sqlite3.Connection:
        uri = f"file:{quote(str(self.path.absolute()))}?mode=rw"
        # One thread uses it, but a pool's thread is not always the one that made it.
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # what is in the WAL is durable there
                connection.close()

    def _beside(self, end: str) -> Path:
        return self.path.with_name(self.path.name + end)

    @contextlib.contextmanager
    def _boot_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self._boot_error(error) from error
        except UnicodeDecodeError as error:  # sqlite3, of a damaged name in an error's text
            raise corrupt(self.place, "it holds text that cannot be read") from error
        except OSError as error:
            message = f"cannot open the store {self.place}: {error.strerror}"
            if error.errno == errno.ENOSPC:
                message += ": free some space"
            raise CannotBootError(message) from error

    def _boot_error(self, error: sqlite3.DatabaseError) -> SwarmError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith((*_DAMAGED, "SQLITE_ERROR")) or not name:  # also: a table is gone
            return corrupt(self.place, str(error))
        advice = "free some space" if name in _NO_SPACE else "see to it that swarmd may write there"
        return CannotBootError(f"cannot open the store {self.place}: {error}: {advice}")

    @contextlib.contextmanager
    def _commit_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._commit_error(error) from error

    def _commit_error(self, error: sqlite3.Error) -> SwarmError:
        name = getattr(error, "sqlite_errorname", "")
        start = f"cannot write to {self.place}, so nothing was changed"
        if name in _NO_SPACE:
            return ResourceExhaustedError(f"{start}: the disk is full: free some space")
        if name.startswith(_DAMAGED):
            return UnavailableError(f"{start}: {error}: stop swarmd, and put back a copy")
        return UnavailableError(f"{start}: {error} ({name}): check the disk, and try again")


def _checksum(row: Row) -> int:
    head = f"{row.kind}/{row.id}/{row.version}".encode()
    return zlib.crc32(row.data or b"", zlib.crc32(head))


def _version_checksum(version: int) -> int:
    return zlib.crc32(f"version/{version}".encode())
