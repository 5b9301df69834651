"""The store moves from this manager's file into etcd, when a second manager asks to join.

    file only ─▶ etcd runs, empty ─▶ writes wait ─▶ everything copied ─▶ quorum.json says so
                 (quorum.json: moving)                                    the manager starts again

Up to the last step the file is the store: what fails is undone, and so is a crash, at the next
start. From then on etcd is. Reads and tasks go on meanwhile; writes wait for the time that the copy
and the start take.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from swarmd.clock import Clock
from swarmd.errors import SwarmError, UnavailableError
from swarmd.etcd_program import find_etcd
from swarmd.ipc.messages import Quorum, Up
from swarmd.logs import fields, get_logger
from swarmd.quorum_file import MOVING, QuorumFile, change, discard
from swarmd.security import data_key
from swarmd.state_dir import PRIVATE_DIR, StateDir
from swarmd.store import Store
from swarmd.store.etcd import EtcdClient
from swarmd.store.etcd.transfer import copy_into
from workers.manager.quorum.disk import check_room
from workers.manager.quorum.leaving import forget

log = get_logger(__name__)
_ETCD_SECONDS: Final = 60.0


class Moving:
    """Done once; afterwards the manager has to start again, on what quorum.json says then."""

    def __init__(
        self, store: Store, state_dir: StateDir, report: Callable[[Up], None], *, clock: Clock
    ) -> None:
        self._store = store
        self._state_dir = state_dir
        self._report = report
        self._clock = clock

    async def move(self, node_id: str, address: str) -> None:
        """Do it, as the only member, and never let a write through again.

        Raises SwarmError or OSError where the file still is the store, and everything as it was.
        """
        await asyncio.to_thread(find_etcd)
        log.info("the store moves into etcd")
        quorum = QuorumFile(node_id=node_id, members={node_id: address}, start=MOVING)
        try:
            await asyncio.to_thread(self._begin, quorum)
            self._report(Quorum(shared=True))
            await self._copy()
        except (SwarmError, OSError):
            if not self._store.retired:
                await forget(self._state_dir, self._report)
                raise
            # The file was to be written last, and may say the one or the other: it counts.
            log.exception("not known whether the store moved: starting again to see")

    def _begin(self, quorum: QuorumFile) -> None:
        check_room(self._state_dir.root, self._state_dir.store.stat().st_size)
        discard(self._state_dir.etcd)  # what may be left of an earlier one
        self._state_dir.etcd.mkdir(mode=PRIVATE_DIR)
        quorum.save(self._state_dir.quorum)

    async def _copy(self) -> None:
        client = EtcdClient(self._state_dir.etcd / "client:0")
        try:
            await self._wait_for(client)
            async with self._store.frozen() as loaded:
                began = self._clock.monotonic()
                keys = await asyncio.to_thread(data_key.open_data_keys, self._state_dir.node_key)
                await copy_into(client, loaded, keys.sealer(self._state_dir.node_key))
                self._store.retire()  # first: a write that came after the next step would be lost
                await asyncio.to_thread(change, self._state_dir.quorum, QuorumFile.started)
                spent = round(self._clock.monotonic() - began, 3)
                log.info("the store moved", extra=fields(objects=len(loaded.rows), seconds=spent))
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
