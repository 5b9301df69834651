"""The last will of this host's manager: that its lead ends when its process does.

While it leads it keeps a connection open to here, on which it said its lease. Whatever ends the
connection, the lease is given back then. So the others need not wait until it runs out, for a
manager worker that was killed; for one that was merely stopped, they do.
"""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Final

from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store.etcd import EtcdClient

log = get_logger(__name__)
_OWNER_ONLY: Final = 0o177
_GRACE_SECONDS: Final = 2.0


class Wills:
    """Takes them at that socket as long as `run` does."""

    def __init__(self, path: Path, client: EtcdClient) -> None:
        self._path = path
        self._client = client
        self._open = 0
        self._none = asyncio.Event()
        self._none.set()

    async def run(self) -> None:
        self._path.unlink(missing_ok=True)
        mask = os.umask(_OWNER_ONLY)
        try:
            server = await asyncio.start_unix_server(self._take, self._path)
        finally:
            os.umask(mask)
        async with server:
            await server.serve_forever()

    async def wait_none(self) -> None:
        """Return once no manager leads here, or after a grace: a leader that ends comes first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                await self._none.wait()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self._none.clear()
        try:
            # Cancelled at the end of this worker: asyncio would log that as an error of its own.
            with contextlib.suppress(OSError, ValueError, asyncio.CancelledError):
                lease = int(await reader.readline())
                await reader.read()
                await self._execute(lease)
        finally:
            writer.close()
            self._open -= 1
            if not self._open:
                self._none.set()

    async def _execute(self, lease: int) -> None:
        try:
            await self._client.revoke(lease)
        except SwarmError as error:  # given back already, as a rule
            log.debug("a manager's lease was not given back", extra=fields(error=error))
        else:
            log.info("this host's manager ended while it led: gave its lead back")
