"""At a manager's start: is it one of several? Then wait for the quorum, having joined it first."""

import asyncio
import math
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from random import Random
from typing import NoReturn

from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.config import NodeConfig
from swarmd.errors import CannotBootError, ResourceExhaustedError, UnavailableError
from swarmd.etcd_program import shared_etcd
from swarmd.ipc.messages import Quorum, Up
from swarmd.logs import fields, get_logger
from swarmd.quorum_file import MOVING, sweep
from swarmd.security import data_key
from swarmd.security.certificates import NodeCertificates
from swarmd.security.identity import MANAGER
from swarmd.state_dir import StateDir
from swarmd.store.etcd import EtcdBackend, EtcdClient, EtcdLease
from swarmd.store.sqlite_file import beside
from workers.manager.quorum.addresses import AddressBook
from workers.manager.quorum.disk import check_room
from workers.manager.quorum.joining import (
    DemotedError,
    NoMemberError,
    join_quorum,
    other_managers,
)
from workers.manager.quorum.leaving import become_worker, forget
from workers.manager.quorum.waiting import Waiting

log = get_logger(__name__)


async def open_quorum(
    config: NodeConfig,
    book: AddressBook,
    report: Callable[[Up], None],
    clock: Clock,
    random: Random,
) -> EtcdClient | None:
    """A client of this host's etcd, which has a quorum; None where this manager is alone.

    Raises CannotBootError where the other managers do not take this one in. Where they say that
    its node is a worker now, it becomes one, and this waits for the parent to end this process.
    """
    state_dir = StateDir(config.state_dir)
    if book.file is None or book.file.start == MOVING:
        if book.file is not None:
            log.warning("the store's move into etcd was cut short: it stays where it was")
        await forget(state_dir, report)  # also what was killed as it did so
        await book.reload()
    else:
        await asyncio.to_thread(sweep, state_dir.etcd)
    others = await asyncio.to_thread(_to_join, state_dir, config) if book.file is None else []
    if book.file is None and not others:
        return None
    if book.file is not None and config.store == "sqlite":
        raise _not_back(state_dir)
    opening = Opening(config, book, report, clock, random)
    try:
        return await opening.open(others)
    except DemotedError as error:
        await opening.step_down(error.address)


class Opening:
    """Of one manager that is, or is to be, one of several."""

    def __init__(
        self,
        config: NodeConfig,
        book: AddressBook,
        report: Callable[[Up], None],
        clock: Clock,
        random: Random,
    ) -> None:
        self._config = config
        self._state_dir = StateDir(config.state_dir)
        self._book = book
        self._report = report
        self._clock = clock
        self._random = random

    async def open(self, others: list[str]) -> EtcdClient:
        """Once there is a quorum; raises DemotedError, CannotBootError."""
        async with Waiting(self._config, self._book, self._clock, self._random) as waiting:
            client = await self._in_quorum(waiting, others)
        await asyncio.to_thread(_set_aside, self._state_dir.store)
        return client

    async def _in_quorum(self, waiting: Waiting, others: list[str]) -> EtcdClient:
        while True:
            if self._book.file is None:
                await self._join(waiting, others)
            self._report(Quorum(shared=True))
            client = EtcdClient(self._state_dir.etcd / "client:0")
            try:
                await waiting.quorum(client)
            except NoMemberError as error:
                log.warning("this manager was taken out of the quorum: joining it again")
                await client.close()
                await forget(self._state_dir, self._report)
                await self._book.reload()
                others = [error.address]
            else:
                return client

    async def _join(self, waiting: Waiting, others: list[str]) -> None:
        await asyncio.to_thread(self._check_host)
        log.info("joining the other managers", extra=fields(at=", ".join(others)))

        def addresses() -> list[str]:
            """Its agent hears of more managers meanwhile, and those first ones may be gone."""
            return list(dict.fromkeys([*others, *_known(self._state_dir, self._config)]))

        await join_quorum(addresses, waiting.address, self._state_dir, self._clock, self._random)
        await self._book.reload()

    def _check_host(self) -> None:
        """Rather than join, and be of no use; raises CannotBootError."""
        shared_etcd(self._config.store)
        try:
            check_room(self._state_dir.root)
        except ResourceExhaustedError as error:
            raise CannotBootError(f"this manager cannot join: {error}") from error

    async def step_down(self, address: str) -> NoReturn:
        """Be a worker's manager no more; never returns, as the parent ends this process."""
        log.info("this node was demoted")
        known = await asyncio.to_thread(_known, self._state_dir, self._config)
        others = cycle(dict.fromkeys([address, *known]))
        await forget(self._state_dir, self._report)
        backoff = Backoff(0.2, 5.0, self._random)
        while True:
            try:
                await become_worker(next(others), self._state_dir, self._report)
            except UnavailableError as error:
                delay = backoff.next()
                log.warning("not a worker yet", extra=fields(reason=error, retry_in=delay))
                await self._clock.sleep(delay)
            else:
                await asyncio.Event().wait()


def shared_backend(
    config: NodeConfig, client: EtcdClient, node_id: str, clock: Clock, random: Random
) -> EtcdBackend:
    """The store that the managers share."""
    state_dir = StateDir(config.state_dir)
    seconds = max(1, math.ceil(1.5 * config.election_tick))  # etcd grants no shorter lease
    lease = EtcdLease(client, node_id, seconds, clock, random)
    sealer = data_key.open_data_keys(state_dir.node_key).sealer(state_dir.node_key)
    return EtcdBackend(client, lease, sealer, clock, random)


def _to_join(state_dir: StateDir, config: NodeConfig) -> list[str]:
    """The managers to ask, where this node was made one and has nothing of it yet."""
    if state_dir.store.exists() or not NodeCertificates.exist(state_dir):
        return []
    if NodeCertificates.load(state_dir).identity.role != MANAGER:
        return []
    return _known(state_dir, config)


def _known(state_dir: StateDir, config: NodeConfig) -> list[str]:
    own_id = NodeCertificates.load(state_dir).identity.node_id
    told = [config.join_addr] if config.join_addr else []
    return list(dict.fromkeys(told + other_managers(state_dir, own_id)))


def _set_aside(store: Path) -> None:
    """The file from when this manager was alone, where it has one: it counts for nothing now."""
    for name in ("", "-wal", "-shm"):
        path = beside(store, name)
        if path.exists():
            path.rename(beside(store.with_suffix(".moved"), name))


def _not_back(state_dir: StateDir) -> CannotBootError:
    return CannotBootError(
        f"--store sqlite: by {state_dir.quorum} this manager's store is in etcd, to be kept with "
        "others. Start it without that option; to have a store of one manager again: `swarmctl "
        "backup` here, and `swarmd restore` into a new state directory"
    )
