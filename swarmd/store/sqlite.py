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
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from swarmd.errors import (
    CannotBootError,
    CorruptStateError,
    ResourceExhaustedError,
    SwarmError,
    UnavailableError,
)
from swarmd.logs import fields, get_logger
from swarmd.security.encryption import NotOpenedError, Sealer
from swarmd.store.backend import AlwaysHeld, Lease, Loaded, Row, Sole, corrupt
from swarmd.store.sqlite_file import (
    PLAIN_SCHEMA,
    PUT,
    PUT_VERSION,
    SEALED_SCHEMA,
    RowAtRest,
    beside,
    checksum,
    make_file,
    row_checksum,
    version_checksum,
)

log = get_logger(__name__)
T = TypeVar("T")
# A damaged value may have any type: as a blob its checksum can be taken, and is found wrong.
_SELECT: Final = "SELECT kind, id, version, CAST(data AS BLOB), checksum FROM objects"
_DELETE: Final = "DELETE FROM objects WHERE kind = ? AND id = ?"
# What is in the WAL at most before it moves to the file: 16 MiB, as fewer moves mean fewer fsyncs.
_CHECKPOINT_PAGES: Final = 4_000
_NO_SPACE: Final = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
_DAMAGED: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class SqliteBackend(Sole):
    """One file, with `-wal` and `-shm` beside it; the caller sees to it that no other opens it.

    With a `sealer`, all that is kept is sealed. A file in the clear, or under an older data key, is
    sealed anew when it is loaded: whole, in another file that takes its place.
    """

    def __init__(self, path: Path, sealer: Sealer | None = None) -> None:
        self.path = path
        self._sealer = sealer
        self.lease: Lease = AlwaysHeld()
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    @property
    def place(self) -> str:
        return str(self.path)

    async def load(self) -> Loaded:
        return await self._call(self._load)

    async def look(self) -> Loaded:
        """Everything, as of one moment, of a file that another process may be writing to."""

        def read() -> Loaded:
            with self._boot_errors():
                return self._read()[0]

        return await self._call(read)

    async def commit(self, version: int, rows: Sequence[Row]) -> None:
        await self._call(lambda: self._commit(version, rows))

    async def reseal(self, sealer: Sealer) -> None:
        """Have everything sealed by that one; when this returns, nothing older is left."""

        def rewrite() -> None:
            with self._boot_errors():
                self._sealer, was = sealer, self._sealer
                try:
                    self._write_whole(self._read()[0])
                except BaseException:
                    self._sealer = was
                    raise

        await self._call(rewrite)

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
            loaded, is_current = self._read()
            if not is_current:
                log.info("sealing the store anew", extra=fields(path=self.path))
                self._write_whole(loaded)
            with self._writable() as connection:
                connection.execute("BEGIN IMMEDIATE")
                # Rolled back: what cannot be written fails now, rather than at the first change.
                connection.execute(PUT_VERSION, (loaded.version, 0))
        return loaded

    def _create(self) -> None:
        """An empty file where there is none; what is left of one that went is damage."""
        for left in (beside(self.path, "-wal"), beside(self.path, "-journal")):
            if left.exists() and left.stat().st_size:
                raise corrupt(self.place, f"it is gone, while {left.name} is still there")
        self._write_whole(Loaded(0, ()))

    def _write_whole(self, loaded: Loaded) -> None:
        """Put a file with exactly this in the place of the one that is there, or of none."""
        if self.path.exists():
            with self._writable() as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._disconnect()
            log_file = beside(self.path, "-wal")
            if log_file.exists() and log_file.stat().st_size:
                raise CannotBootError(f"another program reads {self.place}: try again without it")
        make_file(self.path, self._schema, loaded.version, self._at_rest(loaded.rows))

    def _read(self) -> tuple[Loaded, bool]:
        """What is in the file, and whether all of it is sealed as it is to be."""
        if self.path.stat().st_size == 0:
            raise corrupt(self.place, "it is empty")
        uri = f"file:{quote(str(self.path.absolute()))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        with contextlib.closing(connection):
            connection.execute("BEGIN")
            schema = self._check_schema(connection)
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise corrupt(self.place, found)
            version, is_current = self._read_version(connection), schema == self._schema
            rows = []
            for row in self._read_rows(connection):
                is_current = is_current and self._is_current(row)
                rows.append(self._opened(row) if schema == SEALED_SCHEMA else row)
            return Loaded(version, rows), is_current

    def _check_schema(self, connection: sqlite3.Connection) -> int:
        """Which of the two it is; raises CorruptStateError or CannotBootError for any other."""
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        if schema == 0:
            raise corrupt(self.place, "it is not a swarmd store")
        if schema > SEALED_SCHEMA:
            message = (
                f"{self.place} was written by a newer swarmd (its schema is {schema}, this one "
                f"knows {SEALED_SCHEMA}): run that one"
            )
            raise CannotBootError(message)
        if schema == SEALED_SCHEMA and self._sealer is None:
            raise corrupt(self.place, "it is sealed, and no data key was given")
        return int(schema)

    def _read_version(self, connection: sqlite3.Connection) -> int:
        row = connection.execute("SELECT version, checksum FROM meta").fetchone()
        if row is None or row[1] != version_checksum(row[0]):
            raise corrupt(self.place, "its version is missing or wrong")
        return int(row[0])

    def _read_rows(self, connection: sqlite3.Connection) -> Iterator[Row]:
        rows = connection.execute(_SELECT)
        for *columns, found in rows:
            row = Row(*columns)
            if found != row_checksum(row):
                raise corrupt(self.place, f"the checksum of {row.kind} {row.id} is wrong")
            yield row

    def _commit(self, version: int, rows: Sequence[Row]) -> None:
        with self._commit_errors(), self._writable() as connection:
            puts = self._at_rest([row for row in rows if row.data is not None])
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(PUT, puts)
            connection.executemany(_DELETE, [row[:2] for row in rows if row.data is None])
            connection.execute(PUT_VERSION, (version, version_checksum(version)))
            connection.execute("COMMIT")

    @property
    def _schema(self) -> int:
        return PLAIN_SCHEMA if self._sealer is None else SEALED_SCHEMA

    def _at_rest(self, rows: Sequence[Row]) -> list[RowAtRest]:
        """The rows as they lie in the file: sealed, with a checksum of that."""
        data = [row.data or b"" for row in rows]
        if self._sealer is not None:
            bound = [row.bound for row in rows]
            data = self._sealer.seal_all(list(zip(data, bound, strict=True)))
        return [
            (kind, object_id, version, checksum(kind, object_id, version, kept), kept)
            for (kind, object_id, version, _), kept in zip(rows, data, strict=True)
        ]

    def _is_current(self, row: Row) -> bool:
        return self._sealer is None or self._sealer.is_current(row.data or b"")

    def _opened(self, row: Row) -> Row:
        assert self._sealer is not None
        try:
            return row._replace(data=self._sealer.open(row.data or b"", row.bound))
        except NotOpenedError as error:
            if error.wrong_key:
                raise self._wrong_key(self._sealer.home) from error
            raise corrupt(self.place, f"{row.kind} {row.id}: {error}") from error

    def _wrong_key(self, home: Path) -> CorruptStateError:
        return CorruptStateError(
            f"{self.place} was sealed with another data key than the one in {home}: they come from"
            " different nodes or times; nothing was changed: put back both from the same copy"
        )

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
