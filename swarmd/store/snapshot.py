"""The whole store as one message, SwarmKit's Snapshot, and back: a copy to keep, or to move.

A copy is taken of an open store, and put into a backend that no store has open.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError

from swarmd import api
from swarmd.errors import InvalidArgumentError
from swarmd.store.backend import Backend, Row
from swarmd.store.tables import KINDS
from swarmd.store.transaction import ReadTx


def take(tx: ReadTx) -> api.Snapshot:
    """Every object that this view shows."""
    store = api.StoreSnapshot()
    for kind in KINDS:
        getattr(store, kind.table).extend(getattr(tx, kind.table).find())
    return api.Snapshot(version=api.Snapshot.Version.V0, store=store)


def to_bytes(tx: ReadTx) -> bytes:
    """The same, to be written to a file."""
    return take(tx).SerializeToString()


def from_bytes(data: bytes) -> api.Snapshot:
    """Raises InvalidArgumentError where these bytes are no snapshot."""
    try:
        snapshot = api.Snapshot.FromString(data)
    except DecodeError as error:
        message = "this is not a snapshot of a store"
        raise InvalidArgumentError(message) from error
    if snapshot.version != api.Snapshot.Version.V0:
        message = f"this snapshot has the unknown version {snapshot.version}"
        raise InvalidArgumentError(message)
    return snapshot


async def put_back(backend: Backend, snapshot: api.Snapshot) -> None:
    """Make the backend hold what the snapshot has, and nothing else, in one commit.

    Objects keep their versions. The store's own goes on from the highest there is, so that no
    version is given twice.
    """
    try:
        loaded = await backend.load()
        rows = {(row.kind, row.id): row._replace(data=None) for row in loaded.rows}
        rows |= {(row.kind, row.id): row for row in _rows(snapshot)}
        highest = max([loaded.version, *(row.version for row in rows.values())])
        await backend.commit(highest + 1, list(rows.values()))
    finally:
        await backend.close()


def _rows(snapshot: api.Snapshot) -> Iterator[Row]:
    for kind in KINDS:
        one: Any
        for one in getattr(snapshot.store, kind.table):
            yield Row(kind.name, one.id, one.meta.version.index, one.SerializeToString())
