"""The root CA and what it signs, as SwarmKit's peers expect them."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from swarmd.security.certificates import BadCertificateError, new_request, parse_chain
from swarmd.security.identity import MANAGER, WORKER, Identity
from swarmd.security.root_ca import DEFAULT_EXPIRY_SECONDS, RootCA, digest
from tests.fakes.clock import START

NOW = datetime.fromtimestamp(START, UTC)
NODE = Identity("node1", MANAGER, "cluster1")


@pytest.fixture(scope="module")
def root():
    return RootCA.create(START)


def leaf(root, identity=NODE, expiry=DEFAULT_EXPIRY_SECONDS, request=None):
    request = new_request()[0] if request is None else request
    return parse_chain(root.signer().sign(request, identity, expiry, START))[0]


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind).value


def request_for(key):
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return request.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


def test_root_is_swarm_ca_on_p256_for_twenty_years(root):
    certificate = parse_chain(root.certificate_pem)[0]
    assert "CN=swarm-ca" == certificate.subject.rfc4514_string()
    assert isinstance(certificate.public_key().curve, ec.SECP256R1)
    assert timedelta(days=365 * 20) == certificate.not_valid_after_utc - NOW
    assert extension(certificate, x509.BasicConstraints).ca


def test_digest_is_the_sha256_of_the_pem_bytes():
    assert "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" == digest(
        b"abc"
    )


def test_subject_is_node_role_and_cluster(root):
    assert "CN=node1,OU=swarm-manager,O=cluster1" == leaf(root).subject.rfc4514_string()


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (MANAGER, ["swarm-manager", "node1", "swarm-ca"]),
        (WORKER, ["swarm-worker", "node1"]),
    ],
)
def test_alternative_names_are_role_and_node_and_for_managers_the_ca(root, role, names):
    certificate = leaf(root, Identity("node1", role, "cluster1"))
    found = extension(certificate, x509.SubjectAlternativeName)
    assert names == found.get_values_for_type(x509.DNSName)


def test_certificate_serves_both_ends_and_signs_nothing(root):
    certificate = leaf(root)
    both = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert both == set(extension(certificate, x509.ExtendedKeyUsage))
    assert not extension(certificate, x509.BasicConstraints).ca


def test_certificate_is_backdated_an_hour_and_ends_on_time(root):
    certificate = leaf(root, expiry=7200)
    assert NOW - timedelta(hours=1) == certificate.not_valid_before_utc
    assert NOW + timedelta(hours=2) == certificate.not_valid_after_utc


def test_expiry_below_an_hour_is_ninety_days(root):
    assert NOW + timedelta(days=90) == leaf(root, expiry=60).not_valid_after_utc


def test_only_the_key_of_a_request_counts(root):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mallory")])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate = leaf(root, request=request.public_bytes(serialization.Encoding.PEM))
    assert key.public_key() == certificate.public_key()
    assert "CN=node1,OU=swarm-manager,O=cluster1" == certificate.subject.rfc4514_string()
    assert not extension(certificate, x509.BasicConstraints).ca


def test_rsa_of_2048_bits_is_signed(root):
    request = request_for(rsa.generate_private_key(65537, 2048))
    assert isinstance(leaf(root, request=request).public_key(), rsa.RSAPublicKey)


@pytest.mark.parametrize(
    "request_pem",
    [
        b"garbage",
        b"",
        request_for(ed25519.Ed25519PrivateKey.generate()),
        request_for(rsa.generate_private_key(65537, 1024)),
    ],
    ids=["garbage", "empty", "ed25519", "rsa1024"],
)
def test_an_unfit_request_is_refused(root, request_pem):
    with pytest.raises(BadCertificateError):
        leaf(root, request=request_pem)


def test_a_request_signed_with_another_key_is_refused(root):
    request = x509.load_pem_x509_csr(new_request()[0])
    forged = bytearray(request.public_bytes(serialization.Encoding.DER))
    forged[-1] ^= 1
    pem = x509.load_der_x509_csr(bytes(forged)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(BadCertificateError):
        leaf(root, request=pem)


def test_a_root_whose_key_does_not_fit_cannot_sign(root):
    with pytest.raises(BadCertificateError, match="does not belong"):
        RootCA(root.certificate_pem, RootCA.create(START).key_pem).signer()
