"""python -m workers.manager: compose, report ready, run."""

import asyncio
from random import Random, SystemRandom

from swarmd.clock import Clock, SystemClock
from swarmd.etcd_program import find_etcd
from swarmd.ipc.messages import MANAGER, NodeChanged, Ready
from swarmd.ipc.parent_link import ParentLink
from swarmd.security.certificates import NodeCertificates
from swarmd.state_dir import StateDir
from swarmd.store import SqliteBackend, Store
from swarmd.store.etcd import EtcdBackend, EtcdClient
from workers.manager.bootstrap import bootstrap
from workers.manager.locked import wait_unlocked
from workers.manager.manager import Manager
from workers.manager.quorum.addresses import AddressBook
from workers.manager.quorum.opening import open_quorum, shared_backend
from workers.manager.quorum.part import Alone, OneOfSeveral, Part
from workers.manager.sealed_store import open_backend
from workers.program import run_worker


async def main(link: ParentLink) -> None:
    """Open the store, be somebody, serve; cancelled for a stop."""
    clock, random = SystemClock(), SystemRandom()
    state_dir = StateDir(link.config.state_dir)
    await wait_unlocked(link, clock, random)
    if link.config.store == "etcd":
        await asyncio.to_thread(find_etcd)  # rather than begin without it
    book = AddressBook(state_dir)
    client = await open_quorum(link.config, book, link.report, clock, random)
    backend: SqliteBackend | EtcdBackend
    if client is None:
        backend = await open_backend(state_dir)
    else:
        own_id = (await asyncio.to_thread(NodeCertificates.load, state_dir)).identity.node_id
        backend = shared_backend(link.config, client, own_id, clock, random)
    async with Store(backend, clock) as store:
        await _run(link, store, backend, client=client, book=book, clock=clock, random=random)


async def _run(
    link: ParentLink,
    store: Store,
    backend: SqliteBackend | EtcdBackend,
    *,
    client: EtcdClient | None,
    book: AddressBook,
    clock: Clock,
    random: Random,
) -> None:
    state_dir = StateDir(link.config.state_dir)
    identity = await bootstrap(store, state_dir, link.config, clock, random)

    def serving(address: str) -> None:
        link.report(NodeChanged(identity.node_id, identity.cluster_id, MANAGER, address))
        if part.settled:
            link.report(Ready())

    part: Part
    if client is None:
        part = Alone(
            store,
            state_dir,
            link.config.store,
            link.report,
            node_id=identity.node_id,
            clock=clock,
            random=random,
        )
    else:
        assert isinstance(backend, EtcdBackend)
        part = OneOfSeveral(
            store,
            state_dir,
            client,
            backend.lease,
            book,
            keys=backend.keys,
            certificates=await asyncio.to_thread(NodeCertificates.load, state_dir),
            quota=link.config.quota_backend_bytes,
            clock=clock,
            random=random,
        )
    manager = Manager(
        config=link.config,
        store=store,
        part=part,
        identity=identity,
        reseal=backend.reseal if isinstance(backend, SqliteBackend) else None,
        report=link.report,
        clock=clock,
        random=random,
    )
    await manager.run(serving)


if __name__ == "__main__":
    run_worker("manager", main)
