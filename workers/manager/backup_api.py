"""The Backup service: everything that the store shows at one moment, in parts."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from swarmd.api.protos.backup_pb2 import BackupPart, TakeBackupRequest
from swarmd.api.protos.backup_pb2_grpc import BackupServicer
from swarmd.clock import Clock
from swarmd.errors import NotLeaderError
from swarmd.logs import fields, get_logger
from swarmd.rpc.authorize import caller
from swarmd.store import Store, backup

log = get_logger(__name__)


class BackupApi(BackupServicer):
    """The view is taken at once; it is written down in a thread, while the store goes on."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def Take(self, request: TakeBackupRequest, context: Any) -> AsyncIterator[BackupPart]:
        """The parts; raises NotLeaderError where another manager may have written since."""
        if not self._store.lease.held:
            raise NotLeaderError
        taken = backup.take(self._store, self._clock.now())
        by = caller(context)
        log.info(
            "a backup is taken",
            extra=fields(
                objects=sum(taken.info.counts.values()),
                version=taken.info.version,
                by="the control socket" if by.local else by.node_id,
            ),
        )
        parts = backup.parts(taken)
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            yield part
