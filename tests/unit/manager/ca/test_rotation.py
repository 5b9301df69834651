"""A change of root, node by node; killed anywhere, it goes on."""

import asyncio
from random import Random

import pytest

from swarmd import api
from swarmd.api import defaults
from swarmd.security import join_tokens
from swarmd.security.certificates import issuer_of, parse_chain
from swarmd.security.root_ca import RootCA, digest
from swarmd.store import MemoryBackend, Store
from tests import builders
from tests.fakes.clock import START, FakeClock
from workers.manager.ca.rotation import BATCH, PATIENCE_SECONDS, PERIOD_SECONDS, RootRotation

OLD, NEXT = RootCA.create(START), RootCA.create(START)
State = api.IssuanceStatus.State
ROTATION = api.RootRotation(
    ca_cert=NEXT.certificate_pem,
    ca_key=NEXT.key_pem,
    cross_signed_ca_cert=OLD.signer().cross_sign(NEXT.certificate_pem),
)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def store(clock):
    async with Store(MemoryBackend(), clock) as store:
        yield store


def says(node: api.Node, root: RootCA) -> api.Node:
    subject, key = issuer_of(parse_chain(root.certificate_pem)[0])
    node.description.tls_info.cert_issuer_subject = subject
    node.description.tls_info.cert_issuer_public_key = key
    node.certificate.status.state = State.ISSUED
    return node


async def fill(store: Store, nodes: int) -> list[str]:
    made = [says(builders.node(), OLD) for _ in range(nodes)]
    cluster = api.Cluster(
        id="c1",
        spec=api.ClusterSpec(annotations=api.Annotations(name=defaults.CLUSTER_NAME)),
        root_ca=api.RootCA(
            ca_cert=OLD.certificate_pem, root_rotation=ROTATION, last_forced_rotation=4
        ),
    )
    await store.update(lambda tx: tx.clusters.create(cluster))
    await store.batch([lambda tx, node=node: tx.nodes.create(node) for node in made])
    return [node.id for node in made]


async def change(store: Store, node_id: str, edit) -> None:
    def update(tx):
        node = tx.nodes.copy(node_id)
        edit(node)
        tx.nodes.update(node)

    await store.update(update)


def asked(store: Store) -> int:
    nodes = store.view().nodes.find()
    return sum(node.certificate.status.state == State.ROTATE for node in nodes)


def root_of(store: Store) -> api.RootCA:
    return store.view().clusters.get("c1").root_ca


@pytest.fixture
async def run(store, clock):
    """Starts a rotation's carrier; the end of the test stops all of them."""
    tasks = []

    async def start():
        tasks.append(asyncio.create_task(RootRotation(store, clock, Random(1)).run()))
        await settle()
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def settle() -> None:
    """Let everything run that waits for no time to pass."""
    for _ in range(100):
        await asyncio.sleep(0)


async def tick(clock: FakeClock, seconds: float = PERIOD_SECONDS) -> None:
    clock.advance(seconds=seconds)
    await settle()


async def test_nodes_are_asked_batch_by_batch(store, clock, run):
    await fill(store, BATCH + 5)
    await run()
    assert BATCH == asked(store)
    await tick(clock)
    assert BATCH + 5 == asked(store)
    assert root_of(store).HasField("root_rotation")


async def test_the_root_changes_when_the_last_node_says_that_it_moved(store, clock, run):
    first, second = await fill(store, 2)
    await run()
    await change(store, first, lambda node: says(node, NEXT))
    await tick(clock)
    assert OLD.certificate_pem == root_of(store).ca_cert
    await change(store, second, lambda node: says(node, NEXT))
    await tick(clock)
    root = root_of(store)
    assert (NEXT.certificate_pem, NEXT.key_pem) == (root.ca_cert, root.ca_key)
    assert (digest(NEXT.certificate_pem), 4) == (root.ca_cert_hash, root.last_forced_rotation)
    assert not root.HasField("root_rotation")
    for token in (root.join_tokens.worker, root.join_tokens.manager):
        assert root.ca_cert_hash == join_tokens.parse(token).root_digest


async def test_a_removed_node_holds_nothing_up(store, clock, run):
    (only,) = await fill(store, 1)
    await run()
    await store.update(lambda tx: tx.nodes.delete(only))
    await tick(clock)
    assert NEXT.certificate_pem == root_of(store).ca_cert


async def test_a_node_that_asks_already_is_not_asked(store, run):
    (only,) = await fill(store, 1)

    def renews(node):
        node.certificate.status.state = State.RENEW

    await change(store, only, renews)
    await run()
    assert 0 == asked(store)


async def test_a_node_with_a_fresh_certificate_has_a_minute_to_say_so(store, clock, run):
    (only,) = await fill(store, 1)

    def got_it(node):
        node.certificate.certificate = b"leaf\n" + ROTATION.cross_signed_ca_cert

    await change(store, only, got_it)
    await run()
    assert 0 == asked(store)
    for _ in range(int(PATIENCE_SECONDS / PERIOD_SECONDS) + 1):
        await tick(clock)
    assert 1 == asked(store)


async def test_another_manager_goes_on_where_one_was_killed(store, clock, run):
    first, second = await fill(store, 2)
    killed = await run()
    await change(store, first, lambda node: says(node, NEXT))
    killed.cancel()
    await change(store, second, lambda node: says(node, NEXT))
    await run()
    await tick(clock)
    assert NEXT.certificate_pem == root_of(store).ca_cert


async def test_without_a_rotation_nothing_is_written(store, clock, run):
    await fill(store, 1)
    await run()

    def call_off(tx):
        cluster = tx.clusters.copy("c1")
        cluster.root_ca.ClearField("root_rotation")
        tx.clusters.update(cluster)

    await store.update(call_off)
    await tick(clock)
    version = store.version
    await tick(clock, 60.0)
    assert version == store.version
