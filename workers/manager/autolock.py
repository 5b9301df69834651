"""Keeps this manager's key file sealed as the cluster says: under its unlock key, or not at all.

    unlocked ─▶ locked        seal the file; then the store under a new data key, as the old one
                              lay on the disk in the clear
    locked ─▶ another key     seal the file anew
    locked ─▶ unlocked        the file in the clear

The parent hears of each unlock key, since the agent reads the file too, and so does the worker that
comes after one that crashed. A crash between two steps leaves a file that says what is to be done.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

from swarmd import api
from swarmd.api import defaults
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.security import data_key, key_file, unlock_key
from swarmd.security.encryption import Sealer
from swarmd.security.identity import MANAGER
from swarmd.store import Select, Store, WatchOverflowError, by

log = get_logger(__name__)


def manager_key(cluster: api.Cluster) -> bytes:
    """The unlock key of the cluster's managers; empty where they are not locked."""
    found = [key.key for key in cluster.unlock_keys if key.subsystem == MANAGER]
    return found[0] if found and cluster.spec.encryption_config.auto_lock_managers else b""


class Autolock:
    """`reseal` puts the store under other data keys, None where it stays under the one that the
    managers share; `changed` is told the new unlock key;
    `exposed` is called when a node key that lay in the clear should be replaced.
    """

    def __init__(
        self,
        store: Store,
        path: Path,
        *,
        reseal: Callable[[Sealer], Awaitable[None]] | None,
        changed: Callable[[bytes], None],
        exposed: Callable[[], None],
        clock: Clock,
        random: Random,
    ) -> None:
        self._store = store
        self._path = path
        self._reseal = reseal
        self._changed = changed
        self._exposed = exposed
        self._clock = clock
        self._backoff = Backoff(0.5, 30.0, random)

    async def settle(self) -> None:
        """Do now what is to be done; raises SwarmError or OSError."""
        # A store that moves elsewhere is read under the keys of one moment.
        still = contextlib.nullcontext() if self._reseal is None else self._store.still()
        async with still:
            for cluster in self._store.view().clusters.find(by.name(defaults.CLUSTER_NAME)):
                await self._apply(manager_key(cluster), cluster.meta.version.index)

    async def run(self) -> None:
        """Follow the cluster object until cancelled."""
        while True:
            try:
                await self._follow()
            except WatchOverflowError:
                continue
            except (SwarmError, OSError) as error:
                delay = self._backoff.next()
                why = fields(reason=error, retry_seconds=round(delay, 1))
                log.warning("the key file is not sealed as it should be", extra=why)
                await self._clock.sleep(delay)

    async def _follow(self) -> None:
        async with self._store.watch(Select(api.Cluster)) as watcher:
            while True:
                await self.settle()
                self._backoff.reset()
                await watcher.next()

    async def _apply(self, key: bytes, version: int) -> None:
        was = await asyncio.to_thread(key_file.sealing, self._path)
        replaceable = self._reseal is not None
        keys = await asyncio.to_thread(
            data_key.lock, self._path, key, version, replaceable=replaceable
        )
        if key != was:
            log.info("sealed the key file" if key else "the key file is not sealed any more")
            self._changed(unlock_key.remembered(self._path))
            if key and not was and not replaceable:
                self._exposed()
        if keys.pending and self._reseal is not None:
            await self._reseal(keys.sealer(self._path))
            await asyncio.to_thread(data_key.finish, self._path)
            log.info("sealed the store under a new data key")
            self._exposed()
