"""The first start of a cluster, cut anywhere; and what every later start insists on."""

from random import Random

import pytest

from swarmd import api
from swarmd.api import times
from swarmd.config import NodeConfig
from swarmd.errors import CannotBootError, CorruptStateError
from swarmd.security import certificates, join_tokens, key_file, root_ca
from swarmd.security.certificates import NodeCertificates
from swarmd.security.identity import MANAGER, WORKER, Identity
from swarmd.security.root_ca import RootCA
from swarmd.state_dir import StateDir
from swarmd.store import MemoryBackend, Store
from tests import builders
from tests.fakes.clock import FakeClock
from tests.unit.security.builders import node_of
from workers.manager.bootstrap import bootstrap, refuse_raft_log

CONFIG = NodeConfig(hostname="host1")
NINETY_DAYS = 90 * 24 * 3600


class Crash(BaseException):
    """The process dies here."""


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def state_dir(tmp_path):
    state_dir = StateDir(tmp_path)
    state_dir.make()
    return state_dir


@pytest.fixture
async def store(clock):
    async with Store(MemoryBackend(), clock) as store:
        yield store


@pytest.fixture
def start(store, state_dir, clock):
    """One start of the manager."""

    async def start(config=CONFIG):
        return await bootstrap(store, state_dir, config, clock, Random(1))

    return start


def cluster_of(store):
    (cluster,) = store.view().clusters.find()
    return cluster


async def test_the_first_start_makes_a_manager_of_a_new_cluster(start, store, state_dir):
    identity = await start()
    assert Identity(identity.node_id, MANAGER, cluster_of(store).id) == identity
    assert identity == NodeCertificates.load(state_dir).identity


async def test_the_cluster_has_swarmkits_defaults(start, store):
    await start()
    spec = cluster_of(store).spec
    assert "default" == spec.annotations.name
    assert 5 == spec.orchestration.task_history_retention_limit
    assert 5 == times.seconds(spec.dispatcher.heartbeat_period)
    assert NINETY_DAYS == times.seconds(spec.ca_config.node_cert_expiry)
    assert (
        api.RaftConfig(
            snapshot_interval=10_000,
            log_entries_for_slow_followers=500,
            heartbeat_tick=1,
            election_tick=10,
        )
        == spec.raft
    )
    assert spec.HasField("encryption_config")


async def test_the_cluster_holds_root_tokens_and_six_network_keys(start, store, state_dir):
    await start()
    cluster = cluster_of(store)
    ca = cluster.root_ca
    assert state_dir.root_ca.read_bytes() == ca.ca_cert
    assert root_ca.digest(ca.ca_cert) == ca.ca_cert_hash
    assert ca.join_tokens.worker != ca.join_tokens.manager
    for token in (ca.join_tokens.worker, ca.join_tokens.manager):
        assert ca.ca_cert_hash == join_tokens.parse(token).root_digest
    assert 6 == len(cluster.network_bootstrap_keys)


async def test_the_nodes_own_object_is_an_accepted_manager_with_a_certificate(start, store):
    identity = await start()
    node = store.view().nodes.get(identity.node_id)
    assert api.NodeRole.MANAGER == node.role == node.spec.desired_role
    assert api.NodeSpec.Membership.ACCEPTED == node.spec.membership
    assert api.IssuanceStatus.State.ISSUED == node.certificate.status.state


async def test_a_second_start_changes_nothing(start, store, state_dir):
    first = await start()
    version, files = store.version, NodeCertificates.load(state_dir)
    assert first == await start()
    assert (version, files) == (store.version, NodeCertificates.load(state_dir))


async def test_a_crash_before_the_store_leaves_nothing_behind(start, store, monkeypatch):
    async def crash(change):
        raise Crash

    monkeypatch.setattr(store, "update", crash)
    with pytest.raises(Crash):
        await start()
    monkeypatch.undo()
    await start()
    assert 1 == len(store.view().nodes)


@pytest.mark.parametrize("written", range(5))
async def test_a_crash_between_store_and_files_is_made_good(
    start, store, state_dir, monkeypatch, written
):
    """`written` files made it: root, waiting certificate, key, and at last all."""
    left = iter(range(written))

    def cut(module, name):
        real = getattr(module, name)

        def replace(*args):
            if next(left, None) is None:
                raise Crash
            return real(*args)

        monkeypatch.setattr(module, name, replace)

    cut(certificates, "replace_file")
    cut(key_file, "replace_file")
    if written < 3:
        with pytest.raises(Crash):
            await start()
        cluster_id = cluster_of(store).id
        (node,) = store.view().nodes.find()
        monkeypatch.undo()
        assert Identity(node.id, MANAGER, cluster_id) == await start()
    else:
        await start()
        monkeypatch.undo()
        if written == 3:  # the key is there, its certificate still waits
            state_dir.node_certificate.rename(
                state_dir.node_certificate.with_name(".swarm-node.crt")
            )
        await start()
    assert 1 == len(store.view().nodes) == len(store.view().clusters)
    assert NodeCertificates.load(state_dir).identity.cluster_id == cluster_of(store).id


async def test_a_certificate_that_ran_out_is_replaced(start, state_dir, clock):
    first = await start()
    clock.advance(seconds=NINETY_DAYS + 1)
    assert first == await start()
    assert not NodeCertificates.load(state_dir).expired(clock.now())


async def test_a_certificate_of_a_time_to_come_is_replaced(start, store, state_dir, clock):
    """The clock was ahead when it was made, and was put right since."""
    clock.advance(seconds=5 * 3600.0)
    first = await start()
    behind = FakeClock()
    assert not NodeCertificates.load(state_dir).valid(behind.now())
    assert first == await bootstrap(store, state_dir, CONFIG, behind, Random(1))
    assert NodeCertificates.load(state_dir).valid(behind.now())


async def test_a_given_root_is_the_clusters(start, store, tmp_path, clock):
    given = RootCA.create(clock.now())
    certificate, key = tmp_path / "ca.crt", tmp_path / "ca.key"
    certificate.write_bytes(given.certificate_pem)
    key.write_bytes(given.key_pem)
    config = NodeConfig(hostname="host1", root_ca_cert=str(certificate), root_ca_key=str(key))
    await start(config)
    root = cluster_of(store).root_ca
    assert (given.certificate_pem, given.key_pem) == (root.ca_cert, root.ca_key)


@pytest.mark.parametrize("content", [b"", b"garbage"])
async def test_a_given_root_that_is_none_is_named(start, tmp_path, content):
    certificate = tmp_path / "ca.crt"
    certificate.write_bytes(content)
    config = NodeConfig(
        hostname="host1", root_ca_cert=str(certificate), root_ca_key=str(tmp_path / "no")
    )
    with pytest.raises(CannotBootError, match=r"--root-ca-cert .*ca\.crt"):
        await start(config)


async def test_external_cas_given_at_the_first_start_are_the_clusters(start, store):
    text = "protocol=cfssl,url=https://ca.example/sign,profile=node"
    await start(NodeConfig(hostname="host1", external_ca=(text,)))
    (one,) = cluster_of(store).spec.ca_config.external_cas
    assert ("https://ca.example/sign", {"profile": "node"}) == (one.url, dict(one.options))


async def test_an_external_ca_that_cannot_be_read_is_named(start):
    with pytest.raises(CannotBootError, match="--external-ca x: "):
        await start(NodeConfig(hostname="host1", external_ca=("x",)))


async def test_a_lost_node_object_is_made_again(start, store):
    identity = await start()
    await store.update(lambda tx: tx.nodes.delete(identity.node_id))
    await start()
    assert identity.node_id == store.view().nodes.get(identity.node_id).id


async def test_lost_files_among_many_managers_are_not_guessed(start, store, state_dir):
    await start()
    await store.update(lambda tx: tx.nodes.create(builders.node(role=api.NodeRole.MANAGER)))
    state_dir.node_certificate.unlink()
    with pytest.raises(CorruptStateError, match=r"swarm-node\.crt .* 2 managers"):
        await start()


@pytest.mark.parametrize("kept", ["root_ca", "node_certificate"])
async def test_files_without_their_store_are_not_overwritten(start, state_dir, clock, kept):
    node_of(RootCA.create(clock.now()), clock.now()).save(state_dir)
    for name in {"root_ca", "node_certificate", "node_key"} - {kept}:
        getattr(state_dir, name).unlink()
    with pytest.raises(CorruptStateError, match="the store was lost") as caught:
        await start()
    assert str(getattr(state_dir, kept)) in str(caught.value)
    assert getattr(state_dir, kept).exists()


async def test_files_of_another_cluster_are_named(start, state_dir, clock):
    await start()
    node_of(RootCA.create(clock.now()), clock.now()).save(state_dir)
    with pytest.raises(CorruptStateError, match="one of them comes from another node"):
        await start()


async def test_another_root_is_named(start, store, state_dir, clock):
    identity = await start()
    other = RootCA.create(clock.now())
    node_of(other, clock.now(), cluster_id=identity.cluster_id).save(state_dir)
    with pytest.raises(CorruptStateError, match=r"swarm-root-ca\.crt"):
        await start()


async def test_a_workers_certificate_makes_no_manager(start, store, state_dir, clock):
    identity = await start()
    ca = cluster_of(store).root_ca
    root = RootCA(ca.ca_cert, ca.ca_key)
    node_of(root, clock.now(), role=WORKER, cluster_id=identity.cluster_id).save(state_dir)
    with pytest.raises(CorruptStateError, match="swarm-worker, not a manager"):
        await start()


async def test_a_corrupt_file_is_named(start, state_dir):
    await start()
    state_dir.node_key.write_bytes(b"garbage")
    with pytest.raises(CorruptStateError, match=r"swarm-node\.key"):
        await start()


async def test_a_directory_that_cannot_be_written_cannot_boot(start, state_dir):
    state_dir.root_ca.parent.rmdir()
    with pytest.raises(CannotBootError, match=r"cannot write to .*certificates"):
        await start()


async def test_autolock_gives_a_new_cluster_its_unlock_key(start, store):
    await start(NodeConfig(hostname="host1", autolock=True))
    cluster = cluster_of(store)
    assert cluster.spec.encryption_config.auto_lock_managers
    assert [(MANAGER, 32)] == [(one.subsystem, len(one.key)) for one in cluster.unlock_keys]


async def test_autolock_at_a_later_start_changes_nothing(start, store):
    await start()
    await start(NodeConfig(hostname="host1", autolock=True))
    assert not cluster_of(store).spec.encryption_config.auto_lock_managers
    assert [] == list(cluster_of(store).unlock_keys)


def test_a_raft_log_is_told_to_be_what_it_is(state_dir):
    refuse_raft_log(state_dir)
    (state_dir.root / "raft" / "wal-v3-encrypted").mkdir(parents=True)
    with pytest.raises(CannotBootError, match=r"raft is the store of SwarmKit's own manager"):
        refuse_raft_log(state_dir)
    state_dir.store.touch()  # a node of ours, beside what is left of theirs
    refuse_raft_log(state_dir)
