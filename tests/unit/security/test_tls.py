"""Whom a handshake's certificate names, and the headers that TLS libraries must not see."""

import ssl
import time
from types import SimpleNamespace

import pytest

from swarmd.security.identity import MANAGER, Identity
from swarmd.security.root_ca import RootCA
from swarmd.security.tls import identity_shown, local_context, remote_context
from tests.unit.security.builders import node_of

NOW = 1_700_000_000.0


def shown(role="swarm-manager", not_after="Nov 14 22:13:21 2023 GMT"):
    subject = [("organizationName", "c1"), ("organizationalUnitName", role), ("commonName", "n1")]
    certificate = {"subject": tuple((pair,) for pair in subject), "notAfter": not_after}
    return SimpleNamespace(getpeercert=lambda: certificate)


def test_subject_is_id_role_and_cluster():
    assert Identity("n1", MANAGER, "c1") == identity_shown(shown(), NOW)


@pytest.mark.parametrize(
    "tls",
    [
        SimpleNamespace(getpeercert=lambda: None),
        SimpleNamespace(getpeercert=dict),
        shown(role="swarm-ca"),
        shown(not_after="Nov 14 22:13:19 2023 GMT"),
    ],
    ids=["none", "unverified", "no role of a node", "resumed after its time"],
)
def test_a_certificate_that_does_not_count_is_as_none(tls):
    assert identity_shown(tls, NOW) is None


def test_remote_port_takes_a_certificate_and_needs_none():
    node = node_of(RootCA.create(time.time()), time.time())
    assert ssl.CERT_OPTIONAL == remote_context(node).verify_mode
    assert ssl.CERT_NONE == local_context(node).verify_mode


def test_nothing_older_than_tls_1_2_is_spoken():
    node = node_of(RootCA.create(time.time()), time.time())
    assert ssl.TLSVersion.TLSv1_2 == remote_context(node).minimum_version
