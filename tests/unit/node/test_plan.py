import datetime as dt
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from swarmd.ipc.messages import Configure, Locked, LogLevel, Managers, NodeChanged, UnlockKey
from swarmd.node.plan import (
    Need,
    NodeFacts,
    briefs,
    missing,
    role_in_certificate,
    wanted_workers,
    with_lock,
    with_news,
)

FIRST = NodeFacts()
JOINING = NodeFacts(joins=True)
MANAGER = NodeFacts(role="manager", node_id="n", cluster_id="c", remote_addr="10.0.0.1:4242")
WORKER = NodeFacts(role="worker", node_id="n", cluster_id="c")
CONFIGURE, LEVEL = Configure("{}"), LogLevel("info")


@pytest.mark.parametrize(
    ("facts", "workers"),
    [
        (FIRST, {"manager": Need.RUN, "agent": Need.WAIT}),
        (JOINING, {"agent": Need.RUN}),
        (MANAGER, {"manager": Need.RUN, "agent": Need.RUN}),
        (
            replace(MANAGER, quorum=True),
            {"etcd": Need.RUN, "manager": Need.RUN, "agent": Need.RUN},
        ),
        (WORKER, {"agent": Need.RUN}),
        (replace(WORKER, quorum=True), {"agent": Need.RUN}),
        (NodeFacts(joins=True, role="manager"), {"manager": Need.RUN, "agent": Need.RUN}),
    ],
)
def test_role_and_certificate_say_which_workers_exist(facts, workers):
    assert workers == wanted_workers(facts)


def test_a_locked_nodes_agent_waits_for_the_key_with_which_its_files_open():
    locked = with_lock(MANAGER, Locked("LOCKED: …"))
    assert {"manager": Need.RUN, "agent": Need.WAIT} == wanted_workers(locked)
    assert "LOCKED: …" == missing(locked, {"manager", "agent"})
    opened = with_lock(locked, UnlockKey("SWMKEY-1-x"))
    assert "" == missing(opened, {"manager", "agent"})
    for told in briefs(opened, CONFIGURE, LEVEL).values():
        assert (UnlockKey("SWMKEY-1-x"), CONFIGURE) == told[:2]


def test_an_unlock_key_is_not_in_what_a_log_might_show():
    facts = with_lock(MANAGER, UnlockKey("SWMKEY-1-x"))
    assert "SWMKEY" not in repr(facts) + repr(UnlockKey("SWMKEY-1-x"))


def test_a_manager_is_started_before_its_agent():
    assert ["manager", "agent"] == list(wanted_workers(MANAGER))


def test_the_first_managers_word_gives_the_node_its_certificate():
    facts = with_news(FIRST, "manager", NodeChanged("n", "c", "manager", "10.0.0.1:4242"))
    assert facts == MANAGER


def test_a_joining_agents_word_gives_the_node_its_role():
    facts = with_news(JOINING, "agent", NodeChanged("n", "c", "manager"))
    assert {"manager", "agent"} == set(wanted_workers(facts))


def test_a_demotion_takes_the_manager_and_leaves_the_agent():
    facts = with_news(MANAGER, "agent", NodeChanged("n", "c", "worker"))
    assert facts == WORKER
    assert {"agent": Need.RUN} == wanted_workers(facts)


def test_a_drained_managers_word_does_not_undo_a_demotion():
    assert with_news(WORKER, "manager", NodeChanged("n", "c", "manager", "a:1")) == WORKER


def test_the_agents_word_leaves_the_managers_address():
    assert with_news(MANAGER, "agent", NodeChanged("n", "c", "manager")) == MANAGER


@pytest.mark.parametrize(
    ("facts", "running", "reason"),
    [
        (FIRST, {"manager"}, "has no certificate yet"),
        (MANAGER, set(), "waits for manager and agent"),
        (MANAGER, {"manager"}, "waits for agent"),
        (MANAGER, {"agent", "manager"}, ""),
        (WORKER, {"agent"}, ""),
        (WORKER, {"manager"}, "waits for agent"),
    ],
)
def test_a_node_is_ready_when_all_that_should_run_does(facts, running, reason):
    assert reason == missing(facts, running)


def test_a_first_nodes_agent_is_told_nothing_yet():
    assert {"manager": (CONFIGURE, LEVEL), "agent": ()} == briefs(FIRST, CONFIGURE, LEVEL)


def test_an_agent_is_told_where_the_manager_beside_it_listens():
    told = briefs(MANAGER, CONFIGURE, LEVEL)
    assert (CONFIGURE, LEVEL, Managers(("10.0.0.1:4242",))) == told["agent"]


def certificate(*units: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "cluster")]
    subject += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([*subject, x509.NameAttribute(NameOID.COMMON_NAME, "node")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "swarm-ca")]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("pem", "role"),
    [
        (certificate("swarm-manager"), "manager"),
        (certificate("swarm-worker"), "worker"),
        (certificate("swarm-worker") + certificate("swarm-manager"), "worker"),
        (certificate(), ""),
        (certificate("swarm-king"), ""),
        (b"", ""),
        (b"not a certificate", ""),
        (b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----", ""),
    ],
)
def test_a_certificate_says_the_role(pem, role):
    assert role == role_in_certificate(pem)
