"""A whole store from elsewhere, as SwarmKit writes it in a snapshot, put into an empty backend."""

from collections.abc import Iterator
from typing import Any

from swarmd import api
from swarmd.store.backend import Backend, Row
from swarmd.store.tables import KINDS


async def put_in(backend: Backend, objects: api.StoreSnapshot) -> None:
    """Make them what the backend holds, in one commit, and close it: no store has it open.

    Objects keep their versions. The store's own goes on from the highest there is, so that no
    version is given twice.
    """
    try:
        loaded = await backend.load()
        rows = list(_rows(objects))
        await backend.commit(max([loaded.version, *(row.version for row in rows)]) + 1, rows)
    finally:
        await backend.close()


def _rows(objects: api.StoreSnapshot) -> Iterator[Row]:
    for kind in KINDS:
        one: Any
        for one in getattr(objects, kind.table):
            yield Row(kind.name, one.id, one.meta.version.index, one.SerializeToString())
