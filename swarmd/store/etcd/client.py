"""Calls to the etcd of this host, and what its errors mean here.

It is reached by a unix socket alone: who may open that may do everything.
"""

from collections.abc import AsyncIterable, Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc
from grpc import aio

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.api.protos import etcd_pb2_grpc as services
from swarmd.errors import ResourceExhaustedError, SwarmError, UnavailableError
from swarmd.store.etcd.keys import after

Q = TypeVar("Q")
A = TypeVar("A")
CALL_SECONDS: Final = 5.0
OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # etcd is on this host: when it is back, it is to be found at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_http_proxy", 0),
)


class EtcdClient:
    """One channel; its calls raise SwarmErrors: UnavailableError for what may work a moment on."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._channel = aio.insecure_channel(target(socket), options=OPTIONS)
        self._kv = services.KVStub(self._channel)
        self._lease = services.LeaseStub(self._channel)
        self._watch_stub: Any = services.WatchStub(self._channel)
        self.cluster = services.ClusterStub(self._channel)
        self.maintenance = services.MaintenanceStub(self._channel)

    async def close(self) -> None:
        await self._channel.close(None)

    async def call(
        self, method: Callable[..., Awaitable[A]], request: object, seconds: float = CALL_SECONDS
    ) -> A:
        """One call of one of the stubs' methods, with its errors turned into ours."""
        try:
            return await method(request, timeout=seconds, wait_for_ready=True)
        except aio.AioRpcError as error:
            raise from_etcd(error) from error

    async def get(
        self, key: bytes, seconds: float = CALL_SECONDS
    ) -> tuple[etcd.KeyValue | None, int]:
        """The key, as of the last acknowledged write of anyone, and the revision of that."""
        answer = await self.call(self._kv.Range, etcd.RangeRequest(key=key), seconds)
        return (answer.kvs[0] if answer.kvs else None), answer.header.revision

    async def look(self, key: bytes) -> tuple[etcd.KeyValue | None, int]:
        """The key as this host's etcd has it, which may be behind, and the revision that it is at.

        It asks nobody: a question to the member that leads the raft is lost where that has just
        begun to, and then each later one waits behind it, for seconds.
        """
        request = etcd.RangeRequest(key=key, serializable=True)
        answer = await self.call(self._kv.Range, request)
        return (answer.kvs[0] if answer.kvs else None), answer.header.revision

    async def page(self, prefix: bytes, start: bytes, revision: int, limit: int) -> Any:
        """Up to that many keys of a prefix, from `start` on, as of that revision; of 0, as of now.

        A revision that `get` gave this host's etcd has: it asks nobody for that.
        """
        request = etcd.RangeRequest(
            key=start,
            range_end=after(prefix),
            limit=limit,
            revision=revision,
            serializable=bool(revision),
        )
        return await self.call(self._kv.Range, request, seconds=30)

    async def txn(
        self, request: etcd.TxnRequest, seconds: float = CALL_SECONDS
    ) -> etcd.TxnResponse:
        return await self.call(self._kv.Txn, request, seconds)

    async def compact(self, revision: int) -> None:
        """Keep nothing that was replaced by then; returns when its room is free."""
        request = etcd.CompactionRequest(revision=revision, physical=True)
        await self.call(self._kv.Compact, request, seconds=30)

    async def grant(self, seconds: int, patience: float = CALL_SECONDS) -> int:
        """A new lease's id; it ends that long after its last sign of life, or a little later."""
        request = etcd.LeaseGrantRequest(TTL=seconds)
        return (await self.call(self._lease.LeaseGrant, request, patience)).ID

    async def revoke(self, lease: int) -> None:
        await self.call(self._lease.LeaseRevoke, etcd.LeaseRevokeRequest(ID=lease))

    async def watch(
        self, key: bytes, range_end: bytes, revision: int
    ) -> AsyncIterable[etcd.WatchResponse]:
        """What happens to these keys from that revision on, as etcd answers it, until cancelled."""
        create = etcd.WatchCreateRequest(
            key=key, range_end=range_end, start_revision=revision, progress_notify=True
        )
        stream: Any = self._watch_stub.Watch(wait_for_ready=True)
        try:
            await stream.write(etcd.WatchRequest(create_request=create))
            async for answer in stream:
                yield answer
        except aio.AioRpcError as error:
            raise from_etcd(error) from error
        finally:
            stream.cancel()
        message = "etcd ended the watch"
        raise UnavailableError(message)


def target(socket: Path) -> str:
    return f"unix:{socket.absolute()}"


def from_etcd(error: grpc.RpcError) -> SwarmError:
    """What a failed call means: the quorum's state, in a sentence for who wanted to write."""
    details = str(error.details()).removeprefix("etcdserver: ")
    if "space exceeded" in details:
        return ResourceExhaustedError(
            "the store's quota is used up, and nothing can be written; swarmd makes room where it "
            "can; else start the managers with a larger --quota-backend-bytes"
        )
    if "too large" in details or "too many operations" in details:
        return ResourceExhaustedError(f"too much for one transaction of the store ({details})")
    return UnavailableError(f"the managers have no quorum, or etcd is away ({details}): try again")
