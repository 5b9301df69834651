"""A node whose certificate ran out: who gets back in under its id, and who does not."""

import pytest

from swarmd.errors import FailedPreconditionError, InvalidArgumentError
from swarmd.security.certificates import new_request
from swarmd.security.identity import WORKER, Identity
from swarmd.security.reentry import request_again
from swarmd.security.root_ca import RootCA
from tests.unit.manager.ca.asking import NOBODY, Joined, cluster_of, request, status
from workers.manager.ca.requests import request_renewal


@pytest.fixture
async def joined(ca, store):
    return await Joined(ca, store).join()


async def test_a_node_whose_renewal_never_reached_it_gets_back_in_under_its_id(joined, store):
    await joined.lose_one()
    await joined.lose_one()
    assert joined.node_id == await joined.come_back()
    assert 1 == len(store.view().nodes)


async def test_it_does_so_too_while_its_renewal_is_not_signed_yet(joined, store, ca):
    await store.update(lambda tx: request_renewal(tx, joined.node_id, new_request()[0]))
    assert joined.node_id == await joined.come_back()


async def test_an_older_key_than_the_one_that_renewed_last_proves_nothing(joined, clock, ca):
    clock.advance(seconds=91 * 24 * 3600)
    await joined.lose_one()
    with pytest.raises(FailedPreconditionError, match="has had a newer certificate"):
        await joined.come_back()


async def test_what_does_not_prove_the_name_is_refused_and_makes_no_node(joined, ca, store):
    await joined.lose_one()
    other = await Joined(ca, store).join()
    foreign = RootCA.create(0).signer()
    identity = Identity(joined.node_id, WORKER, cluster_of(store).id)
    forged = foreign.sign(request_again(joined.node_id, joined.key), identity, 3600, 0)
    claims = [
        {"key": new_request()[1]},
        {"former": b""},
        {"former": b"garbage"},
        {"former": forged},
        {"former": other.former},
        {"former": other.former, "key": other.key},
    ]
    for claim in claims:
        with pytest.raises(FailedPreconditionError, match="swarmd leave"):
            await joined.come_back(**claim)
    assert 2 == len(store.view().nodes)


async def test_a_node_that_the_cluster_knows_no_more_gets_a_new_id(joined, store):
    await store.update(lambda tx: tx.nodes.delete(joined.node_id))
    assert joined.node_id != await joined.come_back()


async def test_a_node_that_lost_its_certificates_time_gets_back_in_under_its_id(ca, store):
    csr, key = new_request()
    joined = await ca.IssueNodeCertificate(request(store, "worker", csr), NOBODY)
    await status(ca, joined.node_id)
    again = request(store, "worker", request_again(joined.node_id, key))
    assert joined.node_id == (await ca.IssueNodeCertificate(again, NOBODY)).node_id
    issued = await status(ca, joined.node_id)
    assert again.csr == issued.certificate.csr
    assert 1 == len(store.view().nodes)


async def test_getting_back_in_takes_a_valid_token(ca, store):
    csr, key = new_request()
    joined = await ca.IssueNodeCertificate(request(store, "worker", csr), NOBODY)
    await status(ca, joined.node_id)
    again = request(store, "stale", request_again(joined.node_id, key))
    with pytest.raises(InvalidArgumentError, match="valid join token"):
        await ca.IssueNodeCertificate(again, NOBODY)
