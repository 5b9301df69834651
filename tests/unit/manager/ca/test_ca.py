"""Requests come in, certificates go out: the CA and NodeCA services on a store."""

import asyncio
from random import Random

import pytest

from swarmd import api
from swarmd.api import times
from swarmd.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from swarmd.security.certificates import NodeCertificates, new_request, parse_chain
from swarmd.security.identity import MANAGER, WORKER, Identity
from swarmd.security.reentry import QUORUM_HEADER
from tests import builders
from tests.unit.manager.ca.asking import (
    NOBODY,
    ONE_OF_OURS,
    cluster_of,
    nobody,
    of,
    request,
    status,
)
from workers.manager.ca.server import CAServer, is_removed

State = api.IssuanceStatus.State


async def test_anyone_gets_the_root(idle, store):
    response = await idle.GetRootCACertificate(api.GetRootCACertificateRequest(), NOBODY)
    assert cluster_of(store).root_ca.ca_cert == response.certificate


async def test_a_worker_token_makes_a_worker(ca, store):
    csr, key = new_request()
    joined = await ca.IssueNodeCertificate(request(store, "worker", csr), NOBODY)
    assert api.NodeSpec.Membership.ACCEPTED == joined.node_membership
    issued = await status(ca, joined.node_id)
    assert State.ISSUED == issued.status.state == issued.certificate.status.state
    assert api.NodeRole.WORKER == issued.certificate.role
    root = cluster_of(store).root_ca.ca_cert
    node = NodeCertificates.of(root, issued.certificate.certificate, key)
    assert Identity(joined.node_id, WORKER, cluster_of(store).id) == node.identity
    assert api.NodeRole.WORKER == store.view().nodes.get(joined.node_id).spec.desired_role


async def test_a_manager_token_is_refused_where_there_can_be_one_manager_alone(store, signer):
    ca = CAServer(store, signer, Random(3), lambda: "there is no etcd")
    with pytest.raises(FailedPreconditionError, match="there is no etcd"):
        await ca.IssueNodeCertificate(request(store, "manager"), NOBODY)
    assert 0 == len(store.view().nodes)


async def test_a_manager_token_makes_a_manager_of_a_node_that_can_be_one(ca, store):
    with pytest.raises(FailedPreconditionError, match="of another kind"):
        await ca.IssueNodeCertificate(request(store, "manager"), NOBODY)
    joined = await ca.IssueNodeCertificate(request(store, "manager"), ONE_OF_OURS)
    assert api.NodeRole.MANAGER == store.view().nodes.get(joined.node_id).role


async def test_a_manager_token_is_refused_to_a_node_that_says_why_it_can_be_none(ca, store):
    lacking = nobody(b"", (QUORUM_HEADER, "there is no etcd on PATH"))
    with pytest.raises(FailedPreconditionError, match="manager: there is no etcd on PATH"):
        await ca.IssueNodeCertificate(request(store, "manager"), lacking)
    assert 0 == len(store.view().nodes)
    joined = await ca.IssueNodeCertificate(request(store, "worker"), lacking)
    assert api.NodeRole.WORKER == store.view().nodes.get(joined.node_id).role


async def test_a_joining_node_says_its_availability(ca, store):
    asked = request(store, "worker", availability=api.NodeSpec.Availability.DRAIN)
    joined = await ca.IssueNodeCertificate(asked, NOBODY)
    node = store.view().nodes.get(joined.node_id)
    assert api.NodeSpec.Availability.DRAIN == node.spec.availability


@pytest.mark.parametrize("token", ["", "x", "SWMTKN-1-" + "0" * 50 + "-" + "0" * 25, "tökén"])
async def test_a_wrong_token_is_refused(ca, store, token):
    with pytest.raises(InvalidArgumentError, match="valid join token"):
        await ca.IssueNodeCertificate(request(store, token), NOBODY)
    assert 0 == len(store.view().nodes)


@pytest.mark.parametrize(
    ("field", "value"), [("csr", b""), ("csr", b"x" * 65_537), ("availability", 77)]
)
async def test_an_unsound_request_is_refused_naming_the_field(ca, store, field, value):
    with pytest.raises(InvalidArgumentError, match=f"^{field}: "):
        await ca.IssueNodeCertificate(request(store, "worker", **{field: value}), NOBODY)
    assert 0 == len(store.view().nodes)


async def test_a_garbage_request_is_accepted_and_ends_failed(ca, store):
    joined = await ca.IssueNodeCertificate(request(store, "worker", csr=b"garbage"), NOBODY)
    failed = await status(ca, joined.node_id)
    assert State.FAILED == failed.status.state
    assert "not a certificate request" in failed.status.err
    assert b"" == failed.certificate.certificate


async def test_a_certificate_renews_its_own_node(ca, store):
    joined = await ca.IssueNodeCertificate(request(store, "worker"), NOBODY)
    first = await status(ca, joined.node_id)
    renewed = await ca.IssueNodeCertificate(request(store), of(joined.node_id))
    assert joined.node_id == renewed.node_id
    second = await status(ca, joined.node_id)
    assert State.ISSUED == second.status.state
    assert first.certificate.certificate != second.certificate.certificate


async def test_a_renewal_follows_the_nodes_role(ca, store):
    node = builders.node(role=api.NodeRole.MANAGER)
    await store.update(lambda tx: tx.nodes.create(node))
    await ca.IssueNodeCertificate(request(store), of(node.id, WORKER))
    issued = await status(ca, node.id)
    subject = parse_chain(issued.certificate.certificate)[0].subject.rfc4514_string()
    assert f"CN={node.id},OU=swarm-manager,O={cluster_of(store).id}" == subject


async def test_a_certificate_of_no_known_node_renews_nothing(ca, store):
    with pytest.raises(NotFoundError, match="node gone not found"):
        await ca.IssueNodeCertificate(request(store, "worker"), of("gone"))


async def test_a_changed_expiry_reaches_the_next_certificate(ca, store, clock):
    def change(tx):
        cluster = tx.clusters.copy(cluster_of(store).id)
        cluster.spec.ca_config.node_cert_expiry.CopyFrom(times.duration(7200))
        tx.clusters.update(cluster)

    await store.update(change)
    joined = await ca.IssueNodeCertificate(request(store, "worker"), NOBODY)
    issued = await status(ca, joined.node_id)
    end = parse_chain(issued.certificate.certificate)[0].not_valid_after_utc
    assert clock.now() + 7200 == end.timestamp()


async def test_requests_made_while_nobody_signed_are_signed_at_the_next_start(idle, store, signer):
    asked = [await idle.IssueNodeCertificate(request(store, "worker"), NOBODY) for _ in range(3)]
    running = asyncio.create_task(signer.run())
    await asyncio.sleep(0)
    states = [(await status(idle, one.node_id)).status.state for one in asked]
    running.cancel()
    assert [State.ISSUED] * 3 == states


async def test_many_requests_are_signed_in_few_commits(idle, store, signer):
    asked = [await idle.IssueNodeCertificate(request(store, "worker"), NOBODY) for _ in range(100)]
    before = store.version
    running = asyncio.create_task(signer.run())
    await asyncio.sleep(0)
    for one in asked:
        await status(idle, one.node_id)
    running.cancel()
    assert 1 == store.version - before


async def test_a_node_that_is_not_accepted_waits(idle, store, signer):
    pending = builders.node(
        spec=api.NodeSpec(membership=api.NodeSpec.Membership.PENDING),
        certificate=api.Certificate(
            csr=new_request()[0], status=api.IssuanceStatus(state=State.PENDING)
        ),
    )
    await store.update(lambda tx: tx.nodes.create(pending))
    running = asyncio.create_task(signer.run())
    joined = await idle.IssueNodeCertificate(request(store, "worker"), NOBODY)
    await status(idle, joined.node_id)
    running.cancel()
    node = store.view().nodes.get(pending.id)
    assert State.PENDING == node.certificate.status.state


async def test_status_of_an_unknown_node_is_not_found(ca):
    with pytest.raises(NotFoundError):
        await status(ca, "nobody")


async def test_status_without_an_id_is_refused(ca):
    with pytest.raises(InvalidArgumentError, match="node_id"):
        await status(ca, "")


async def test_status_does_not_wait_where_nobody_signs(idle, store):
    joined = await idle.IssueNodeCertificate(request(store, "worker"), NOBODY)
    with pytest.raises(UnavailableError):
        await status(idle, joined.node_id)


async def test_waiting_ends_when_the_node_is_removed(ca, store):
    node = builders.node(
        spec=api.NodeSpec(membership=api.NodeSpec.Membership.PENDING),
        certificate=api.Certificate(status=api.IssuanceStatus(state=State.PENDING)),
    )
    await store.update(lambda tx: tx.nodes.create(node))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(status(ca, node.id))
    await asyncio.sleep(0)
    await store.update(lambda tx: tx.nodes.delete(node.id))
    with pytest.raises(NotFoundError):
        await waiting


async def test_waiting_ends_when_this_manager_signs_no_more(store, signer):
    node = builders.node(
        certificate=api.Certificate(status=api.IssuanceStatus(state=State.UNKNOWN))
    )
    await store.update(lambda tx: tx.nodes.create(node))
    running = asyncio.create_task(signer.run())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(signer.wait_final(node.id))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(UnavailableError):
        await waiting


async def test_a_root_that_cannot_sign_is_tried_again(idle, store, signer, clock):
    sound = cluster_of(store).root_ca.ca_key

    def put(key):
        def change(tx):
            cluster = tx.clusters.copy(cluster_of(store).id)
            cluster.root_ca.ca_key = key
            tx.clusters.update(cluster)

        return store.update(change)

    await put(b"garbage")
    joined = await idle.IssueNodeCertificate(request(store, "worker"), NOBODY)
    running = asyncio.create_task(signer.run())
    await clock.wait_sleepers()
    waiting = asyncio.create_task(status(idle, joined.node_id))
    await put(sound)
    clock.advance(seconds=10)
    issued = await waiting
    running.cancel()
    assert State.ISSUED == issued.status.state


async def test_the_unlock_key_is_empty_where_managers_are_not_locked(idle, store):
    response = await idle.GetUnlockKey(api.GetUnlockKeyRequest(), of("m", MANAGER))
    assert b"" == response.unlock_key
    assert cluster_of(store).meta.version == response.version


async def test_a_removed_node_is_known_by_the_clusters_list(store):
    def change(tx):
        cluster = tx.clusters.copy(cluster_of(store).id)
        cluster.blacklisted_certificates["n1"].expiry.CopyFrom(times.timestamp(1))
        tx.clusters.update(cluster)

    await store.update(change)
    assert [True, False] == [is_removed(store, "n1"), is_removed(store, "n2")]
