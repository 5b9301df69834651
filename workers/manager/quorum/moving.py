"""The store moves from this manager's file into etcd, when a second manager asks to join.

    file only ─▶ etcd runs, empty ─▶ writes wait ─▶ everything copied ─▶ quorum.json says so
                 (quorum.json: moving)                                    the manager starts again

Up to the last step the file is the store, and a crash leaves it so; from then on etcd is. Reads and
tasks go on meanwhile; writes wait for the time that the copy and the start take.
"""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from swarmd.clock import Clock
from swarmd.errors import UnavailableError
from swarmd.ipc.messages import Quorum, Up
from swarmd.logs import fields, get_logger
from swarmd.quorum_file import EXISTING, MOVING, QuorumFile
from swarmd.security import data_key
from swarmd.state_dir import PRIVATE_DIR, StateDir
from swarmd.store import Store
from swarmd.store.etcd import EtcdClient
from swarmd.store.etcd.program import find_etcd
from swarmd.store.etcd.transfer import copy_into

log = get_logger(__name__)
_ETCD_SECONDS: Final = 60.0


class Moving:
    """Done once; afterwards the manager has to start again, on etcd."""

    def __init__(
        self, store: Store, state_dir: StateDir, report: Callable[[Up], None], *, clock: Clock
    ) -> None:
        self._store = store
        self._state_dir = state_dir
        self._report = report
        self._clock = clock

    async def move(self, node_id: str, address: str) -> None:
        """Do it, as the only member, and never let a write through again.

        Raises CannotBootError where there is no etcd on this host, else UnavailableError.
        """
        await asyncio.to_thread(find_etcd)
        log.info("the store moves into etcd")
        quorum = QuorumFile(node_id=node_id, members={node_id: address}, start=MOVING)
        self._state_dir.etcd.mkdir(mode=PRIVATE_DIR, exist_ok=True)
        await asyncio.to_thread(quorum.save, self._state_dir.quorum)
        self._report(Quorum(shared=True))
        client = EtcdClient(self._state_dir.etcd / "client:0")
        try:
            await self._wait_for(client)
            async with self._store.frozen() as loaded:
                began = self._clock.monotonic()
                keys = await asyncio.to_thread(data_key.open_data_keys, self._state_dir.node_key)
                await copy_into(client, loaded, keys.sealer(self._state_dir.node_key))
                done = replace(quorum, start=EXISTING)
                await asyncio.to_thread(done.save, self._state_dir.quorum)
                spent = round(self._clock.monotonic() - began, 3)
                log.info("the store moved", extra=fields(objects=len(loaded.rows), seconds=spent))
                self._store.retire()
        finally:
            await client.close()

    async def _wait_for(self, client: EtcdClient) -> None:
        try:
            async with asyncio.timeout(_ETCD_SECONDS):
                while True:
                    try:
                        await client.get(b"any")
                    except UnavailableError:
                        await self._clock.sleep(0.05)
                    else:
                        return
        except TimeoutError as error:
            raise UnavailableError("etcd did not start in time: see its log") from error


def undo(state_dir: StateDir) -> None:
    """A move was cut short: the file is still the store, and what etcd has counts for nothing."""
    log.warning("the store's move into etcd was cut short: it stays where it was")
    shutil.rmtree(state_dir.etcd)
