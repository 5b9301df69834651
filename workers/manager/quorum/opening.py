"""At a manager's start: is it one of several? Then wait for the quorum, having joined it first."""

import asyncio
import math
from collections.abc import Callable
from random import Random

from swarmd.clock import Clock
from swarmd.config import NodeConfig
from swarmd.ipc.messages import Quorum, Up
from swarmd.logs import fields, get_logger
from swarmd.quorum_file import MOVING
from swarmd.security import data_key
from swarmd.security.certificates import NodeCertificates
from swarmd.security.identity import MANAGER
from swarmd.state_dir import StateDir
from swarmd.store.etcd import EtcdBackend, EtcdClient, EtcdLease
from workers.manager.quorum.addresses import AddressBook
from workers.manager.quorum.joining import join_quorum, other_managers
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

    Raises CannotBootError where the other managers do not take this one in.
    """
    state_dir = StateDir(config.state_dir)
    if book.file is not None and book.file.start == MOVING:
        await asyncio.to_thread(undo, state_dir)
        report(Quorum(shared=False))
        await book.reload()
    others = await asyncio.to_thread(_to_join, state_dir, config) if book.file is None else []
    if book.file is None and not others:
        return None
    async with Waiting(config, book, clock, random) as waiting:
        if book.file is None:
            log.info("joining the other managers", extra=fields(at=", ".join(others)))
            await join_quorum(others, waiting.address, state_dir, clock, random)
            await book.reload()
        report(Quorum(shared=True))
        client = EtcdClient(state_dir.etcd / "client:0")
        await waiting.quorum(client)
    if state_dir.store.exists():  # from when this manager was alone; it counts for nothing now
        await asyncio.to_thread(state_dir.store.rename, state_dir.store.with_suffix(".moved"))
    return client


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
    shown = NodeCertificates.load(state_dir).identity
    if shown.role != MANAGER:
        return []
    told = [config.join_addr] if config.join_addr else []
    return list(dict.fromkeys(told + other_managers(state_dir, shown.node_id)))
