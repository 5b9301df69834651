"""Certificates while the root changes: good for who trusts the old root, or the new.

Held against OpenSSL's own verification, as peers do it, by a TLS handshake in memory.
"""

import contextlib
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from swarmd import api
from swarmd.security.certificates import (
    BadCertificateError,
    NodeCertificates,
    check_chain,
    issuer_of,
    new_request,
    parse_chain,
)
from swarmd.security.identity import MANAGER, Identity
from swarmd.security.root_ca import RootCA, check_root, normalized, signer_of
from swarmd.security.tls import client_context, identity_shown, remote_context

NOW = time.time()
OLD, NEXT = RootCA.create(NOW), RootCA.create(NOW)
NODE = Identity("n1", MANAGER, "c1")


def rotation_to(following: RootCA) -> api.RootCA:
    return api.RootCA(
        ca_cert=OLD.certificate_pem,
        ca_key=OLD.key_pem,
        root_rotation=api.RootRotation(
            ca_cert=following.certificate_pem,
            ca_key=following.key_pem,
            cross_signed_ca_cert=OLD.signer().cross_sign(following.certificate_pem),
        ),
    )


def certified(root: api.RootCA, trusts: RootCA, now: float = NOW) -> NodeCertificates:
    request, key = new_request()
    chain = signer_of(root).sign(request, NODE, 7200.0, now)
    return NodeCertificates.of(trusts.certificate_pem, chain, key)


def pump(client: ssl.SSLObject, server: ssl.SSLObject) -> None:
    """Turn by turn, until both have nothing more to say."""
    for _ in range(6):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()


def handshake(mine: NodeCertificates, theirs: NodeCertificates) -> Identity | None:
    """Who `mine` is, as a server with `theirs` sees it; raises SSLError where either refuses."""
    context = client_context(mine, mine.root_pem)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(down, up, server_hostname="swarm-manager")
    server = remote_context(theirs).wrap_bio(up, down, server_side=True)
    pump(client, server)
    client.write(b"x")
    server.read(1)
    return identity_shown(server, NOW)


@pytest.mark.parametrize("step", ["before", "during", "after"])
@pytest.mark.parametrize("other", ["before", "during", "after"])
def test_nodes_at_neighbouring_steps_of_the_change_trust_each_other(step: str, other: str):
    changing = rotation_to(NEXT)
    at = {
        "before": certified(api.RootCA(ca_cert=OLD.certificate_pem, ca_key=OLD.key_pem), OLD),
        "during": certified(changing, OLD),
        "after": certified(changing, NEXT),
    }
    if {step, other} == {"before", "after"}:  # the change ends only when nobody is before it
        with pytest.raises(ssl.SSLError):
            handshake(at[step], at[other])
    else:
        assert NODE == handshake(at[step], at[other])


def test_a_node_says_who_certified_it():
    changing = rotation_to(NEXT)
    subject, key = issuer_of(parse_chain(NEXT.certificate_pem)[0])
    for trusts in (OLD, NEXT):
        info = certified(changing, trusts).tls_info()
        assert (subject, key) == (info.cert_issuer_subject, info.cert_issuer_public_key)
        assert trusts.certificate_pem == info.trust_root


def test_a_chain_that_leads_elsewhere_is_refused():
    chain = parse_chain(certified(rotation_to(NEXT), OLD).certificate_pem)
    with pytest.raises(BadCertificateError, match="root CA"):
        check_chain(chain, parse_chain(RootCA.create(NOW).certificate_pem))
    with pytest.raises(BadCertificateError, match="chain"):
        check_chain([chain[0], parse_chain(OLD.certificate_pem)[0]], [])


def test_an_rsa_root_that_openssl_made_is_followed_too():
    given = _rsa_root()
    changing = rotation_to(given)
    assert NODE == handshake(certified(changing, given), certified(changing, OLD))


def test_a_root_made_by_a_clock_an_hour_ahead_is_good_at_once():
    ahead = RootCA.create(NOW + 3500)
    root = api.RootCA(ca_cert=ahead.certificate_pem, ca_key=ahead.key_pem)
    node = certified(root, ahead, NOW + 3500)
    assert NODE == handshake(node, node)


@pytest.mark.parametrize(
    ("made_before_seconds", "words"),
    [(-7200, "not valid yet"), (19.5 * 365 * 86400, "expires too soon")],
)
def test_a_root_is_good_for_the_coming_year(made_before_seconds: float, words: str):
    with pytest.raises(BadCertificateError, match=words):
        check_root(RootCA.create(NOW - made_before_seconds).certificate_pem, NOW)


def test_a_root_has_one_form():
    assert OLD.certificate_pem == normalized(b"# a comment\n" + OLD.certificate_pem + b"\n\n")


def _rsa_root() -> RootCA:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Root")])
    shape = parse_chain(OLD.certificate_pem)[0]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(shape.not_valid_before_utc)
        .not_valid_after(shape.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    return RootCA.given(
        made.public_bytes(form.Encoding.PEM),
        key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()),
        NOW,
    )
