"""The manager's own certificate: renewed in time, and with the root, without a gap."""

import asyncio
from random import Random

import pytest

from swarmd import api
from swarmd.api import times
from swarmd.config import NodeConfig
from swarmd.security.certificates import NodeCertificates
from swarmd.security.root_ca import RootCA
from swarmd.state_dir import StateDir
from swarmd.store import MemoryBackend, Store
from tests.fakes.clock import FakeClock
from workers.manager.bootstrap import bootstrap
from workers.manager.ca.own_certificate import OwnCertificate
from workers.manager.ca.signer import Signer

DAY = 24 * 3600.0
State = api.IssuanceStatus.State


class Manager:
    """The store, the signer and the keeper of one manager's certificate."""

    def __init__(self, store: Store, state_dir: StateDir, clock: FakeClock) -> None:
        self.store, self.state_dir, self.clock = store, state_dir, clock
        self.shown: asyncio.Queue[NodeCertificates] = asyncio.Queue()
        self.first = NodeCertificates.load(state_dir)
        self.signer = Signer(store, clock, Random(1))
        self.own = OwnCertificate(
            store,
            self.signer,
            self.first,
            state_dir,
            changed=self.shown.put_nowait,
            clock=clock,
            random=Random(1),
        )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.signer.run())
            group.create_task(self.own.run())

    async def next(self) -> NodeCertificates:
        async with asyncio.timeout(10):
            return await self.shown.get()

    async def edit(self, change) -> None:
        def update(tx):
            cluster = tx.clusters.copy(tx.clusters.find()[0].id)
            change(cluster)
            tx.clusters.update(cluster)

        await self.store.update(update)


@pytest.fixture
async def manager(tmp_path):
    clock, state_dir = FakeClock(), StateDir(tmp_path)
    state_dir.make()
    async with Store(MemoryBackend(), clock) as store:
        await bootstrap(store, state_dir, NodeConfig(hostname="h"), clock, Random(1))
        manager = Manager(store, state_dir, clock)
        running = asyncio.create_task(manager.run())
        await clock.wait_sleepers()
        yield manager
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until_renewed(manager: Manager) -> tuple[float, NodeCertificates]:
    begin = manager.clock.now()
    while manager.shown.empty():
        manager.clock.advance(seconds=DAY / 2)
        for _ in range(30):
            await asyncio.sleep(0.001)
        assert manager.clock.now() - begin < 90 * DAY
    return manager.clock.now() - begin, manager.shown.get_nowait()


async def test_it_is_renewed_between_half_and_four_fifths_of_its_life(manager):
    spent, renewed = await until_renewed(manager)
    assert 45 * DAY <= spent <= 72.5 * DAY
    assert manager.first.identity == renewed.identity
    assert manager.first.key_pem != renewed.key_pem
    assert renewed == NodeCertificates.load(manager.state_dir)


async def test_a_changed_expiry_counts_from_the_next_certificate(manager):
    def hour(cluster):
        cluster.spec.ca_config.node_cert_expiry.CopyFrom(times.duration(3600))

    await manager.edit(hour)
    manager.own.expose()
    renewed = await manager.next()
    assert 3600 == round(renewed.not_after.timestamp() - manager.clock.now())


async def test_a_key_that_lay_open_is_replaced_at_once(manager):
    manager.own.expose()
    assert manager.first.key_pem != (await manager.next()).key_pem


async def test_it_moves_to_the_next_root_and_then_trusts_it(manager):
    following = RootCA.create(manager.clock.now())
    node_id = manager.first.identity.node_id

    def begin(cluster):
        present = RootCA(cluster.root_ca.ca_cert, cluster.root_ca.ca_key).signer()
        rotation = cluster.root_ca.root_rotation
        rotation.ca_cert, rotation.ca_key = following.certificate_pem, following.key_pem
        rotation.cross_signed_ca_cert = present.cross_sign(following.certificate_pem)

    def ask(tx):
        node = tx.nodes.copy(node_id)
        node.certificate.status.state = State.ROTATE
        tx.nodes.update(node)

    def end(cluster):
        rotation = api.RootRotation.FromString(cluster.root_ca.root_rotation.SerializeToString())
        cluster.root_ca.CopyFrom(api.RootCA(ca_cert=rotation.ca_cert, ca_key=rotation.ca_key))

    await manager.edit(begin)
    await manager.store.update(ask)
    moved = await manager.next()
    assert manager.first.root_pem == moved.root_pem
    assert 2 == moved.certificate_pem.count(b"BEGIN CERTIFICATE")
    await manager.edit(end)
    trusts = await manager.next()
    assert following.certificate_pem == trusts.root_pem
    assert moved.certificate_pem == trusts.certificate_pem
    assert moved.tls_info().cert_issuer_public_key == trusts.tls_info().cert_issuer_public_key
    assert trusts == NodeCertificates.load(manager.state_dir)


async def test_a_killed_managers_files_follow_at_the_next_start(manager):
    """The root changed in the store, the certificate moved before; the root's file did not."""
    await test_it_moves_to_the_next_root_and_then_trusts_it(manager)
    state_dir, store, clock = manager.state_dir, manager.store, manager.clock
    now = NodeCertificates.load(state_dir)
    state_dir.root_ca.write_bytes(manager.first.root_pem)
    await bootstrap(store, state_dir, NodeConfig(hostname="h"), clock, Random(1))
    assert now == NodeCertificates.load(state_dir)
