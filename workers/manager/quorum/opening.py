"""At a manager's start: is it one of several? Then wait for the quorum, having joined it first."""

import asyncio
import math
from collections.abc import Callable
from random import Random
from typing import NoReturn

from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.config import NodeConfig
from swarmd.errors import UnavailableError
from swarmd.ipc.messages import Quorum, Up
from swarmd.logs import fields, get_logger
from swarmd.quorum_file import MOVING
from swarmd.security import data_key
from swarmd.security.certificates import NodeCertificates
from swarmd.security.identity import MANAGER
from swarmd.state_dir import StateDir
from swarmd.store.etcd import EtcdBackend, EtcdClient, EtcdLease
from workers.manager.quorum.addresses import AddressBook
from workers.manager.quorum.joining import (
    DemotedError,
    NoMemberError,
    join_quorum,
    other_managers,
)
from workers.manager.quorum.leaving import become_worker, forget
from workers.manager.quorum.moving import undo
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
    if book.file is not None and book.file.start == MOVING:
        await asyncio.to_thread(undo, state_dir)
        report(Quorum(shared=False))
        await book.reload()
    others = await asyncio.to_thread(_to_join, state_dir, config) if book.file is None else []
    if book.file is None and not others:
        return None
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
        store = self._state_dir.store
        if store.exists():  # from when this manager was alone; it counts for nothing now
            await asyncio.to_thread(store.rename, store.with_suffix(".moved"))
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
        log.info("joining the other managers", extra=fields(at=", ".join(others)))
        await join_quorum(others, waiting.address, self._state_dir, self._clock, self._random)
        await self._book.reload()

    async def step_down(self, address: str) -> NoReturn:
        """Be a worker's manager no more; never returns, as the parent ends this process."""
        log.info("this node was demoted")
        await forget(self._state_dir, self._report)
        backoff = Backoff(0.2, 5.0, self._random)
        while True:
            try:
                await become_worker(address, self._state_dir, self._report)
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
    data_key.finish(state_dir.node_key)  # the move sealed everything under the newest
    sealer = data_key.open_data_keys(state_dir.node_key).sealer(state_dir.node_key)
    return EtcdBackend(client, lease, sealer, clock, random)


def _to_join(state_dir: StateDir, config: NodeConfig) -> list[str]:
    """The managers to ask, where this node was made one and has nothing of it yet."""
    if state_dir.store.exists() or not NodeCertificates.exist(state_dir):
        return []
    shown = NodeCertificates.load(state_dir).identity
    if shown.role != MANAGER:
        return []
    told = [config.join_addr] if config.join_addr else []
    return list(dict.fromkeys(told + other_managers(state_dir, shown.node_id)))
