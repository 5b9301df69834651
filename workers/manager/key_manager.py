"""Network keys: made once, then a new one for each subsystem every twelve hours.

Agents encrypt their gossip and their overlay traffic with them. Each subsystem keeps a ring of
three, so that agents which hear of a new key at different times still understand each other; a
Lamport time tells which is the newest.
"""

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Final

from swarmd import api
from swarmd.api import defaults
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import Store, WriteTx, by

log = get_logger(__name__)

SUBSYSTEMS: Final = ("networking:gossip", "networking:ipsec")
RING: Final = 3
KEY_BYTES: Final = 16
ROTATION_SECONDS: Final = 12 * 3600.0
_FIRST_RETRY_SECONDS: Final = 1.0
_LAST_RETRY_SECONDS: Final = 60.0
_SKEW: Final = 1 << 16


def first_keys(random: Random) -> list[api.EncryptionKey]:
    """A full ring for each subsystem; Lamport times start anywhere."""
    start = random.randrange(_SKEW)
    owners = [subsystem for subsystem in SUBSYSTEMS for _ in range(RING)]
    return [_key(owner, start + turn, random) for turn, owner in enumerate(owners, start=1)]


def rotate(
    keys: Iterable[api.EncryptionKey], clock: int, random: Random
) -> list[api.EncryptionKey]:
    """A new key for each subsystem, in the place of its oldest. `clock`: the newest so far."""
    rings = {subsystem: [k for k in keys if k.subsystem == subsystem] for subsystem in SUBSYSTEMS}
    rotated: list[api.EncryptionKey] = []
    for turn, (subsystem, ring) in enumerate(rings.items(), start=1):
        youngest = sorted(ring, key=lambda key: key.lamport_time)[-(RING - 1) :]
        rotated += [*youngest, _key(subsystem, clock + turn, random)]
    return rotated


def newest(keys: Sequence[api.EncryptionKey]) -> int:
    """The highest Lamport time; 0 where there is no key."""
    return max((key.lamport_time for key in keys), default=0)


class KeyManager:
    """Keeps the cluster's network keys young."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random

    async def run(self) -> None:
        """Make the keys where there are none, then rotate them, until cancelled."""
        await self._write(self._make)
        while True:
            await self._clock.sleep(ROTATION_SECONDS)
            await self._write(self._rotate)
            log.info("rotated the network keys")

    async def _write(self, change: Callable[[WriteTx], None]) -> None:
        """Until the store takes it: young keys are not worth the manager's life."""
        backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, self._random)
        while True:
            try:
                await self._store.update(change)
            except SwarmError as error:
                seconds = backoff.next()
                told = fields(reason=error, retry_seconds=seconds)
                log.warning("the network keys are not written", extra=told)
                await self._clock.sleep(seconds)
            else:
                return

    def _make(self, tx: WriteTx) -> None:
        for cluster in tx.clusters.find(by.name(defaults.CLUSTER_NAME)):
            if not cluster.network_bootstrap_keys:
                self._put(tx, cluster.id, first_keys(self._random))

    def _rotate(self, tx: WriteTx) -> None:
        for cluster in tx.clusters.find(by.name(defaults.CLUSTER_NAME)):
            clock = max(
                cluster.encryption_key_lamport_clock, newest(cluster.network_bootstrap_keys)
            )
            keys = rotate(cluster.network_bootstrap_keys, clock, self._random)
            self._put(tx, cluster.id, keys)

    def _put(self, tx: WriteTx, cluster_id: str, keys: list[api.EncryptionKey]) -> None:
        cluster = tx.clusters.copy(cluster_id)
        del cluster.network_bootstrap_keys[:]
        cluster.network_bootstrap_keys.extend(keys)
        cluster.encryption_key_lamport_clock = newest(keys)
        tx.clusters.update(cluster)


def _key(subsystem: str, lamport_time: int, random: Random) -> api.EncryptionKey:
    return api.EncryptionKey(
        subsystem=subsystem,
        algorithm=api.EncryptionKey.Algorithm.AES_128_GCM,
        key=random.randbytes(KEY_BYTES),
        lamport_time=lamport_time,
    )
