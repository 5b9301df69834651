"""Keys, requests and certificates: make, read, check; and the three files of a node."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

from swarmd import api
from swarmd.errors import CorruptStateError, InvalidArgumentError
from swarmd.security import key_file
from swarmd.security.identity import ROLES, Identity
from swarmd.state_dir import StateDir, replace_file

PUBLIC_FILE: Final = 0o644
_NO_NAME: Final = x509.Name([])


class BadCertificateError(InvalidArgumentError):
    """A certificate, request or key that cannot be used; says why."""


def new_request() -> tuple[bytes, bytes]:
    """A fresh key and a request to certify it, both PEM: (request, key).

    The subject is empty: who signs knows it better.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    return make_request(key, _NO_NAME), key_pem(key)


def make_request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, subject: x509.Name) -> bytes:
    """A request (PEM) to certify this key, signed with it."""
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as PKCS#8 PEM, in the clear."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def parse_chain(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM bundle, at least one; raises BadCertificateError."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise BadCertificateError(f"not a certificate in PEM form: {error}") from error


def identity_of(certificate: x509.Certificate) -> Identity:
    """Whom a node certificate names; raises BadCertificateError when it names no node."""

    def one(oid: ObjectIdentifier) -> str:
        found = certificate.subject.get_attributes_for_oid(oid)
        return str(found[0].value) if found else ""

    shown = Identity(
        node_id=one(NameOID.COMMON_NAME),
        role=one(NameOID.ORGANIZATIONAL_UNIT_NAME),
        cluster_id=one(NameOID.ORGANIZATION_NAME),
    )
    if not shown.node_id or not shown.cluster_id or shown.role not in ROLES:
        subject = certificate.subject.rfc4514_string()
        raise BadCertificateError(f"not a node certificate of a swarm: its subject is {subject!r}")
    return shown


def check_chain(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]) -> None:
    """Each certificate was signed by the next, until a root; raises BadCertificateError.

    Behind the one that a root signed may come others: after a change of root, nodes still show the
    intermediate that leads to the root before. Says nothing about time: an expired certificate of
    ours still tells who we are.
    """
    for certificate, issuer in zip_longest(chain, chain[1:]):
        if any(_signed(certificate, root) for root in roots):
            return
        if issuer is not None and not _signed(certificate, issuer):
            raise BadCertificateError("the certificates do not form a chain")
    raise BadCertificateError("it was not signed by the cluster's root CA")


def check_key(certificate: x509.Certificate, pem: bytes) -> None:
    """The key belongs to the certificate; raises BadCertificateError."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise BadCertificateError(f"not a private key in PEM form: {error}") from error
    if key.public_key() != certificate.public_key():
        raise BadCertificateError("it does not belong to the node certificate")


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


@dataclass(frozen=True, slots=True)
class NodeCertificates:
    """A node's root CA, certificate chain and key (all PEM), which fit together."""

    root_pem: bytes
    certificate_pem: bytes
    key_pem: bytes
    identity: Identity
    not_before: datetime
    not_after: datetime

    @classmethod
    def of(cls, root_pem: bytes, certificate_pem: bytes, key: bytes) -> Self:
        """The three put together; raises BadCertificateError when they do not fit."""
        chain = parse_chain(certificate_pem)
        check_chain(chain, parse_chain(root_pem))
        check_key(chain[0], key)
        return cls(
            root_pem,
            certificate_pem,
            key,
            identity_of(chain[0]),
            chain[0].not_valid_before_utc,
            chain[0].not_valid_after_utc,
        )

    @classmethod
    def load(cls, state_dir: StateDir) -> Self:
        """What is on disk; raises CorruptStateError, naming the file and what to do.

        The time of a certificate is not checked: one that has run out still tells who we are.
        """
        with _unchanged(state_dir.node_key):
            key = key_file.read(state_dir.node_key).pem
            _finish_save(state_dir.node_certificate, key)
            root_pem, certificate_pem = _read(state_dir.root_ca), _read(state_dir.node_certificate)
        with _blame(state_dir.root_ca):
            roots = parse_chain(root_pem)
        with _blame(state_dir.node_certificate):
            chain = parse_chain(certificate_pem)
            identity_of(chain[0])
            check_chain(chain, roots)
        with _blame(state_dir.node_key):
            check_key(chain[0], key)
        return cls.of(root_pem, certificate_pem, key)

    def save(self, state_dir: StateDir) -> None:
        """Put all three on disk; a crash at any moment leaves a pair that `load` accepts.

        The certificate waits beside its place until the key is in its own: `load` can tell by the
        key which of the two certificates is meant. Headers of the key file are kept, and its seal.
        """
        path, key = state_dir.node_certificate, state_dir.node_key
        with key_file.exclusive(key):
            headers, sealing = key_file.headers(key), key_file.sealing(key)
            replace_file(state_dir.root_ca, self.root_pem, PUBLIC_FILE)
            replace_file(_waiting(path), self.certificate_pem, PUBLIC_FILE)
            key_file.write(key, self.key_pem, headers, sealing)
            _waiting(path).replace(path)

    def tls_info(self) -> api.NodeTLSInfo:
        """Whom this node trusts, and who certified it, as managers want to know it."""
        chain = parse_chain(self.certificate_pem)
        issuers = [*chain[1:], *parse_chain(self.root_pem)]
        issuer = next(one for one in issuers if _signed(chain[0], one))
        subject, public_key = issuer_of(issuer)
        return api.NodeTLSInfo(
            trust_root=self.root_pem, cert_issuer_subject=subject, cert_issuer_public_key=public_key
        )

    @staticmethod
    def exist(state_dir: StateDir) -> bool:
        """Whether this node was certified already, be it with files that cannot be used."""
        certificate = state_dir.node_certificate
        some = certificate.exists() or _waiting(certificate).exists()
        return some and state_dir.node_key.exists()

    def valid(self, now: float) -> bool:
        """Neither expired nor of a time to come, as after a clock was put back."""
        return self.not_before <= datetime.fromtimestamp(now, UTC) < self.not_after

    def expired(self, now: float) -> bool:
        return datetime.fromtimestamp(now, UTC) >= self.not_after


def issuer_of(authority: x509.Certificate) -> tuple[bytes, bytes]:
    """What certificates say of an authority that issued them: its subject and public key (DER)."""
    public_key = authority.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return authority.subject.public_bytes(), public_key


@contextlib.contextmanager
def _unchanged(key: Path) -> Iterator[None]:
    """Nobody replaces the files within the block; where they are not, the block will say so."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(key_file.exclusive(key))
        yield


def _waiting(path: Path) -> Path:
    """Where a certificate waits for its key; SwarmKit's name for it."""
    return path.with_name(f".{path.name}")


def _finish_save(path: Path, key: bytes) -> None:
    """Carry out the last step of a `save` that was cut short after its key was written."""
    waiting = _waiting(path)
    with contextlib.suppress(FileNotFoundError, BadCertificateError):
        check_key(parse_chain(waiting.read_bytes())[0], key)
        waiting.replace(path)


@contextlib.contextmanager
def _blame(path: Path) -> Iterator[None]:
    """What is wrong within is wrong with that file."""
    try:
        yield
    except BadCertificateError as error:
        raise key_file.corrupt(path, str(error)) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise key_file.corrupt(path, "it is missing") from error
    except OSError as error:
        raise CorruptStateError(f"{path} cannot be read: {error.strerror}") from error
