"""A whole store into an etcd that holds none."""

from collections.abc import Iterator, Sequence
from typing import Final

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.security.encryption import Sealer
from swarmd.store.backend import Loaded, Row
from swarmd.store.etcd import keys
from swarmd.store.etcd.client import EtcdClient

_MOST_ROWS: Final = 500
_MOST_BYTES: Final = 1 << 20


async def copy_into(client: EtcdClient, loaded: Loaded, sealer: Sealer) -> None:
    """Write every row, then the version, without which nothing of it counts.

    Whatever store was there is gone. Raises UnavailableError, and then it is to be done again.
    """
    everything = etcd.DeleteRangeRequest(key=keys.STORE, range_end=keys.after(keys.STORE))
    await client.txn(etcd.TxnRequest(success=[etcd.RequestOp(request_delete_range=everything)]))
    for rows in _slices(loaded.rows):
        puts = [put(row, sealer) for row in rows]
        await client.txn(etcd.TxnRequest(success=[etcd.RequestOp(request_put=one) for one in puts]))
    version = etcd.PutRequest(key=keys.VERSION, value=str(loaded.version).encode())
    await client.txn(etcd.TxnRequest(success=[etcd.RequestOp(request_put=version)]))


def put(row: Row, sealer: Sealer) -> etcd.PutRequest:
    """How a row is kept."""
    assert row.data is not None
    value = keys.packed(row.version, sealer.seal(row.data, row.bound))
    return etcd.PutRequest(key=keys.object_key(row.kind, row.id), value=value)


def _slices(rows: Sequence[Row]) -> Iterator[list[Row]]:
    some: list[Row] = []
    size = 0
    for row in rows:
        if some and (len(some) >= _MOST_ROWS or size >= _MOST_BYTES):
            yield some
            some, size = [], 0
        some.append(row)
        size += len(row.data or b"")
    if some:
        yield some
