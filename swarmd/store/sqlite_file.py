"""The form of the store's SQLite file, and how a whole one comes into its place.

Two schemas: in the first the rows' data are the objects themselves, in the second they are sealed.
"""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from swarmd.state_dir import PRIVATE_FILE
from swarmd.store.backend import Row

PLAIN_SCHEMA: Final = 1
SEALED_SCHEMA: Final = 2
_SCHEMA: Final = """
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
PUT_VERSION: Final = "INSERT OR REPLACE INTO meta VALUES (1, ?, ?)"
PUT: Final = """
    INSERT INTO objects (kind, id, version, checksum, data) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (kind, id) DO UPDATE SET
        version = excluded.version, checksum = excluded.checksum, data = excluded.data
"""

RowAtRest = tuple[str, str, int, int, bytes]
"""Kind, id, version, checksum and data."""


def make_file(path: Path, schema: int, version: int, rows: Iterable[RowAtRest]) -> None:
    """Put a whole file there, made under another name; a crash leaves what was there before.

    Nobody may have the file open that it replaces, and nothing may be left in that one's log.
    It gets its log (WAL) last: what a full disk keeps in a log, without a word, would stay behind
    under the other name.
    """
    new = beside(path, ".new")
    for stale in (new, *(beside(new, end) for end in ("-wal", "-shm", "-journal"))):
        stale.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))
    with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN")
        connection.executemany(PUT, rows)
        connection.execute(PUT_VERSION, (version, version_checksum(version)))
        connection.execute(f"PRAGMA user_version = {schema}")
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    new.rename(path)
    _sync(path.parent)


def beside(path: Path, end: str) -> Path:
    """A file whose name begins with that of this one."""
    return path.with_name(path.name + end)


def row_checksum(row: Row) -> int:
    return checksum(row.kind, row.id, row.version, row.data or b"")


def checksum(kind: str, object_id: str, version: int, data: bytes) -> int:
    """Of a row with these parts."""
    return zlib.crc32(data, zlib.crc32(f"{kind}/{object_id}/{version}".encode()))


def version_checksum(version: int) -> int:
    return zlib.crc32(f"version/{version}".encode())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
