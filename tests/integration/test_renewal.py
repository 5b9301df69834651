"""A worker's certificate is renewed by a real CA, over its real port."""

import asyncio
import contextlib
import random
import tempfile
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from swarmd import api
from swarmd.api.protos.ca_pb2_grpc import CAStub
from swarmd.clock import SystemClock
from swarmd.config import NodeConfig
from swarmd.errors import CannotBootError, UnauthenticatedError
from swarmd.rpc.authorize import Authorizer
from swarmd.rpc.server import make_server
from swarmd.security.certificates import NodeCertificates, new_request
from swarmd.security.identity import MANAGER, WORKER, Identity
from swarmd.security.root_ca import RootCA
from swarmd.state_dir import StateDir
from swarmd.store import MemoryBackend, Store
from tests import builders
from workers.agent.dialer import Dialer
from workers.agent.enrollment import enroll
from workers.agent.remotes import Remote, Remotes
from workers.agent.renewal import Renewal
from workers.manager.bootstrap import first_cluster
from workers.manager.ca.server import CAServer
from workers.manager.ca.signer import Signer

DAY = 86400.0
CHANCE = random.Random(0)
CLOCK = SystemClock()
ROTATE = api.IssuanceStatus.State.ROTATE


class Swarm:
    """A cluster's store, and the port of its CA."""

    def __init__(self, store: Store, root: RootCA, port: int) -> None:
        self.store = store
        self.root = root
        self.address = f"127.0.0.1:{port}"

    @property
    def cluster(self) -> api.Cluster:
        return self.store.view().clusters.find()[0]

    def node(self, node_id: str) -> api.Node:
        found = self.store.view().nodes.get(node_id)
        assert found is not None
        return found

    def certify(self, node_id: str, role: str, *, made: float, life: float) -> NodeCertificates:
        request, key = new_request()
        identity = Identity(node_id, role, self.cluster.id)
        chain = self.root.signer().sign(request, identity, life, made)
        return NodeCertificates.of(self.root.certificate_pem, chain, key)


class Skewed(SystemClock):
    """A host's clock that is wrong by so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        return super().now() + self._seconds


@contextlib.asynccontextmanager
async def swarm_at(clock: SystemClock) -> AsyncIterator[Swarm]:
    """What the manager certifies bears its own clock's time."""
    root = RootCA.create(clock.now())
    with tempfile.TemporaryDirectory(prefix="swd") as name:
        async with Store(MemoryBackend(), clock) as store:
            cluster = first_cluster(root, NodeConfig(hostname="h"), CHANCE)
            await store.update(lambda tx: tx.clusters.create(cluster))
            swarm = Swarm(store, root, 0)
            own = swarm.certify("manager", MANAGER, made=clock.now(), life=DAY)
            signer = Signer(store, clock, CHANCE)
            server = make_server(
                [CAServer(store, signer, CHANCE)],
                Authorizer(own.identity),
                certificates=own,
                directory=Path(name),
                clock=CLOCK,
                random=CHANCE,
            )
            swarm.address = f"127.0.0.1:{server.listen_remote('127.0.0.1:0')}"
            running = [asyncio.create_task(each.run()) for each in (server, signer)]
            yield swarm
            for task in running:
                task.cancel()
            await asyncio.wait(running)


@pytest.fixture
async def swarm() -> AsyncIterator[Swarm]:
    async with swarm_at(CLOCK) as swarm:
        yield swarm


class Worker:
    """A state directory with a certificate, and what keeps it renewed."""

    def __init__(self, swarm: Swarm, directory: Path, *, made: float, life: float) -> None:
        self.swarm = swarm
        self.state_dir = StateDir(directory)
        self.state_dir.make()
        self.first = swarm.certify("worker", WORKER, made=made, life=life)
        self.first.save(self.state_dir)
        self.dialer = Dialer(self.state_dir, CLOCK)
        self.news: asyncio.Queue[None] = asyncio.Queue()

    def config(self, token: str) -> NodeConfig:
        return NodeConfig(
            hostname="h",
            state_dir=self.state_dir.root,
            join_addr=self.swarm.address,
            join_token=token,
        )

    async def enter(self) -> None:
        """As its cluster knows it."""
        node = builders.node("worker", role=api.NodeRole.WORKER)
        node.id = "worker"
        node.certificate.certificate = self.first.certificate_pem
        await self.swarm.store.update(lambda tx: tx.nodes.create(node))

    @contextlib.asynccontextmanager
    async def renewing(self, token: str = "") -> AsyncIterator[Renewal]:
        again = partial(enroll, self.config(token), self.state_dir, CLOCK, CHANCE)
        renewal = Renewal(
            dialer=self.dialer,
            remotes=Remotes(CHANCE, [Remote("manager", self.swarm.address)]),
            current=lambda: None,
            rejoin=again if token else None,
            renewed=lambda: self.news.put_nowait(None),
            clock=CLOCK,
            random=CHANCE,
        )
        running = asyncio.create_task(renewal.run())
        try:
            yield renewal
        finally:
            running.cancel()
            await asyncio.wait([running])

    async def renewed(self) -> NodeCertificates:
        """The next certificate, as it is on disk."""
        async with asyncio.timeout(20):
            await self.news.get()
        found = NodeCertificates.load(self.state_dir)
        assert found == self.dialer.certificates
        return found


@pytest.fixture
async def fresh(swarm, tmp_path) -> Worker:
    worker = Worker(swarm, tmp_path, made=time.time(), life=90 * DAY)
    await worker.enter()
    return worker


async def test_one_that_is_due_is_renewed_with_a_new_key(swarm, tmp_path):
    worker = Worker(swarm, tmp_path, made=time.time() - 81 * DAY, life=90 * DAY)
    await worker.enter()
    async with worker.renewing():
        found = await worker.renewed()
    assert worker.first.identity == found.identity
    assert worker.first.key_pem != found.key_pem
    assert found.not_after.timestamp() > time.time() + 89 * DAY
    assert swarm.node("worker").certificate.certificate == found.certificate_pem


async def test_one_that_is_fresh_is_renewed_when_a_manager_asks(swarm, fresh):
    async with fresh.renewing() as renewal:
        await asyncio.sleep(0.2)
        assert fresh.news.empty()
        node = api.Node(id="worker", certificate={"status": {"state": ROTATE}})
        renewal.hear(api.SessionMessage(node=node))
        assert fresh.first.certificate_pem != (await fresh.renewed()).certificate_pem


async def test_more_roots_to_trust_take_no_new_certificate(swarm, fresh):
    both = swarm.root.certificate_pem + RootCA.create(time.time()).certificate_pem
    async with fresh.renewing() as renewal:
        renewal.hear(api.SessionMessage(RootCA=both))
        found = await fresh.renewed()
        renewal.hear(api.SessionMessage(RootCA=both))
        await asyncio.sleep(0.2)
    assert (both, fresh.first.certificate_pem) == (found.root_pem, found.certificate_pem)
    assert fresh.news.empty()


async def test_a_managers_certificate_is_none_of_its_agents_business(swarm, fresh):
    swarm.certify("worker", MANAGER, made=time.time() - 81 * DAY, life=90 * DAY).save(
        fresh.state_dir
    )
    await fresh.dialer.reload()
    async with fresh.renewing() as renewal:
        renewal.hear(api.SessionMessage(RootCA=b"another"))
        await asyncio.sleep(0.2)
    assert fresh.news.empty()


async def test_a_promoted_worker_gets_a_managers_certificate(swarm, fresh):
    def promote(tx) -> None:
        node = tx.nodes.copy("worker")
        node.role = api.NodeRole.MANAGER
        tx.nodes.update(node)

    await swarm.store.update(promote)
    async with fresh.renewing() as renewal:
        node = api.Node(id="worker", role=api.NodeRole.MANAGER)
        node.certificate.status.state = ROTATE
        renewal.hear(api.SessionMessage(node=node))
        async with asyncio.timeout(20):
            await fresh.news.get()
    assert MANAGER == NodeCertificates.load(fresh.state_dir).identity.role


async def test_a_node_that_was_off_too_long_gets_back_in_under_its_id(swarm, tmp_path):
    worker = Worker(swarm, tmp_path, made=time.time() - 2 * DAY, life=DAY)
    await worker.enter()
    with pytest.raises(UnauthenticatedError, match=r"ran out on .* --join-token"):
        worker.dialer.dial(swarm.address)
    found = await enroll(
        worker.config(swarm.cluster.root_ca.join_tokens.worker), worker.state_dir, CLOCK, CHANCE
    )
    assert "worker" == found.identity.node_id
    assert found == NodeCertificates.load(worker.state_dir)
    assert not found.expired(time.time())
    assert 1 == len(swarm.store.view().nodes)


async def test_it_does_so_too_when_it_never_received_the_renewal_that_it_asked_for(swarm, tmp_path):
    worker = Worker(swarm, tmp_path, made=time.time() - 2 * DAY, life=DAY)
    await worker.enter()
    lost = swarm.certify("worker", WORKER, made=time.time() - 1.2 * DAY, life=DAY)

    def renew(tx) -> None:
        node = tx.nodes.copy("worker")
        node.certificate.certificate = lost.certificate_pem
        tx.nodes.update(node)

    await swarm.store.update(renew)
    token = swarm.cluster.root_ca.join_tokens.worker
    found = await enroll(worker.config(token), worker.state_dir, CLOCK, CHANCE)
    assert "worker" == found.identity.node_id
    assert not found.expired(time.time())
    assert 1 == len(swarm.store.view().nodes)


async def test_a_certificate_that_runs_out_at_work_is_replaced_where_there_is_a_token(
    swarm, tmp_path
):
    worker = Worker(swarm, tmp_path, made=time.time() - 2 * DAY, life=DAY)
    await worker.enter()
    async with worker.renewing(swarm.cluster.root_ca.join_tokens.worker):
        assert "worker" == (await worker.renewed()).identity.node_id


async def test_getting_back_in_takes_a_valid_token(swarm, tmp_path):
    worker = Worker(swarm, tmp_path, made=time.time() - 2 * DAY, life=DAY)
    await worker.enter()
    stale = swarm.cluster.root_ca.join_tokens.worker[:-25] + "0" * 25
    with pytest.raises(CannotBootError, match="it was rotated"):
        await enroll(worker.config(stale), worker.state_dir, CLOCK, CHANCE)
    assert worker.first == NodeCertificates.load(worker.state_dir)


def joining(swarm: Swarm, directory: Path) -> tuple[NodeConfig, StateDir]:
    state_dir = StateDir(directory)
    state_dir.make()
    token = swarm.cluster.root_ca.join_tokens.worker
    config = NodeConfig(
        hostname="h", state_dir=directory, join_addr=swarm.address, join_token=token
    )
    return config, state_dir


@pytest.mark.parametrize("ahead", [3500.0, -3500.0])
async def test_a_node_whose_clock_is_an_hour_off_joins_and_is_served(tmp_path, ahead):
    async with swarm_at(Skewed(ahead)) as swarm:
        config, state_dir = joining(swarm, tmp_path)
        made = await enroll(config, state_dir, CLOCK, CHANCE)
        assert made.valid(time.time())
        async with Dialer(state_dir, CLOCK).dial(swarm.address) as channel:
            assert swarm.root.certificate_pem == await root_by(channel)


async def root_by(channel) -> bytes:
    answer = await CAStub(channel).GetRootCACertificate(api.GetRootCACertificateRequest())
    return answer.certificate


@pytest.mark.parametrize(("ahead", "words"), [(2 * 3600.0, "begins"), (-2 * DAY, "ended")])
async def test_one_that_is_off_by_more_is_told_to_set_its_clock(tmp_path, ahead, words):
    async with swarm_at(Skewed(ahead)) as swarm:
        config, state_dir = joining(swarm, tmp_path)
        with pytest.raises(CannotBootError, match=rf"{words} .* UTC, and this host's clock says"):
            await enroll(config, state_dir, CLOCK, CHANCE)
