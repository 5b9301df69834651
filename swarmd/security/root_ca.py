"""The cluster's root CA: made once, then signs a certificate for each node."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from swarmd import api
from swarmd.security.certificates import (
    BadCertificateError,
    NodeCertificates,
    check_chain,
    check_key,
    new_request,
    parse_chain,
)
from swarmd.security.identity import CA, MANAGER, Identity

ROOT_YEARS: Final = 20
DEFAULT_EXPIRY_SECONDS: Final = 2160 * 3600.0  # 90 days
LEAST_EXPIRY_SECONDS: Final = 3600.0
BACKDATE_SECONDS: Final = 3600.0  # for nodes whose clock is behind
LEAST_ROOT_SECONDS: Final = 365 * 24 * 3600.0
_LEAST_RSA_BITS: Final = 2048

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class RootCA:
    """The root's certificate, and its key, both PEM."""

    certificate_pem: bytes
    key_pem: bytes

    @classmethod
    def create(cls, now: float) -> Self:
        """A fresh root. Its key comes from the system's randomness, whatever the caller's is."""
        key = ec.generate_private_key(ec.SECP256R1())
        # Names are compared by their bytes, and Go's programs, CFSSL among them, write this string.
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CA, _ASN1Type.PrintableString)])
        end = _years_after(_time(now), ROOT_YEARS)
        builder = _builder(name, name, key.public_key(), _time(now - BACKDATE_SECONDS), end)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        builder = builder.add_extension(_usage(signs=True), True)
        builder = builder.add_extension(_fingerprint(key.public_key()), False)
        certificate = builder.sign(key, hashes.SHA256())
        return cls(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,  # the form SwarmKit keeps it in
                serialization.NoEncryption(),
            ),
        )

    @classmethod
    def given(cls, certificate_pem: bytes, key_pem: bytes, now: float) -> Self:
        """A root that somebody brings, with its key; raises BadCertificateError."""
        root = cls(normalized(certificate_pem), key_pem)
        check_root(root.certificate_pem, now)
        root.signer()
        return root

    @property
    def digest(self) -> str:
        """What a join token and the cluster object know the root by."""
        return digest(self.certificate_pem)

    def signer(self) -> "Signer":
        """Ready to sign; raises BadCertificateError when key and certificate do not fit."""
        certificate = parse_chain(self.certificate_pem)[0]
        check_key(certificate, self.key_pem)
        key = serialization.load_pem_private_key(self.key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise BadCertificateError("the root CA's key is neither ECDSA nor RSA")
        return Signer(certificate, key)


@dataclass(frozen=True, slots=True)
class Signer:
    """A root with its key read once, to sign many."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    intermediates: bytes = b""
    """Goes behind each certificate, to lead from it to the root that nodes trust."""

    def sign(self, request_pem: bytes, node: Identity, expiry_seconds: float, now: float) -> bytes:
        """The node certificate (PEM) for the request's key; raises BadCertificateError.

        Nothing but the key is taken from the request. An expiry below the least is the default.
        """
        public_key = _requested_key(request_pem)
        if expiry_seconds < LEAST_EXPIRY_SECONDS:
            expiry_seconds = DEFAULT_EXPIRY_SECONDS
        builder = _builder(
            _subject(node),
            self.certificate.subject,
            public_key,
            _time(now - BACKDATE_SECONDS),
            _time(now + expiry_seconds),
        )
        for extension, critical in self._extensions(node, public_key):
            builder = builder.add_extension(extension, critical)
        leaf = builder.sign(self.key, hashes.SHA256())
        return leaf.public_bytes(serialization.Encoding.PEM) + self.intermediates

    def cross_sign(self, other_pem: bytes) -> bytes:
        """Another root's certificate as an intermediate of this one: same name, key and life."""
        other = parse_chain(other_pem)[0]
        builder = _builder(
            other.subject,
            self.certificate.subject,
            _usable(other.public_key()),
            other.not_valid_before_utc,
            other.not_valid_after_utc,
        )
        for extension in other.extensions:
            if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
                builder = builder.add_extension(extension.value, extension.critical)
        builder = builder.add_extension(self._issuer_identifier(), False)
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    def _issuer_identifier(self) -> x509.AuthorityKeyIdentifier:
        make = x509.AuthorityKeyIdentifier
        try:
            own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        except x509.ExtensionNotFound:
            return make.from_issuer_public_key(_usable(self.certificate.public_key()))
        return make.from_issuer_subject_key_identifier(own.value)

    def _extensions(
        self, node: Identity, public_key: PublicKey
    ) -> list[tuple[x509.ExtensionType, bool]]:
        names = [node.role, node.node_id, *([CA] if node.role == MANAGER else [])]
        both_sides = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return [
            (_usage(signs=False), True),
            (x509.ExtendedKeyUsage(both_sides), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_fingerprint(public_key), False),
            (self._issuer_identifier(), False),
            (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
        ]


def signer_of(root: api.RootCA) -> Signer:
    """Who signs node certificates now: the root, or, while it changes, the one that follows.

    Raises BadCertificateError where key and certificate do not fit, or there is no key.
    """
    if not root.HasField("root_rotation"):
        return RootCA(root.ca_cert, root.ca_key).signer()
    following = root.root_rotation
    signer = RootCA(following.ca_cert, following.ca_key).signer()
    return replace(signer, intermediates=following.cross_signed_ca_cert)


def certify(
    root: api.RootCA, identity: Identity, expiry_seconds: float, now: float
) -> NodeCertificates:
    """A fresh key for that node, and its certificate; raises as `signer_of`."""
    request, key = new_request()
    chain = signer_of(root).sign(request, identity, expiry_seconds, now)
    return NodeCertificates.of(root.ca_cert, chain, key)


def check_root(pem: bytes, now: float) -> None:
    """Fit to be a cluster's root from now on; raises BadCertificateError, which says why not."""
    certificates = parse_chain(pem)
    if len(certificates) != 1:
        raise BadCertificateError("the desired CA certificate cannot contain multiple certificates")
    (root,) = certificates
    check_chain(certificates, certificates)
    if not _is_authority(root):
        raise BadCertificateError("the desired CA certificate is not that of a CA")
    if root.not_valid_before_utc > _time(now):
        raise BadCertificateError("CA certificate is not valid yet")
    if root.not_valid_after_utc < _time(now + LEAST_ROOT_SECONDS):
        raise BadCertificateError("CA certificate expires too soon")
    _usable(root.public_key())


def check_intermediate(pem: bytes, present_pem: bytes, following_pem: bytes) -> None:
    """Leads from the following root to the present one; raises BadCertificateError."""
    made, (following,) = parse_chain(pem), parse_chain(following_pem)
    check_chain(made, parse_chain(present_pem))
    if not _is_authority(made[0]):
        raise BadCertificateError(
            "the external CA did not certify the next root as a CA: its profile CA needs"
            ' "ca_constraint": {"is_ca": true}'
        )
    if made[0].public_key() != following.public_key() or made[0].subject != following.subject:
        raise BadCertificateError("the external CA certified another root than the next one")
    if made[0].subject.public_bytes() != following.subject.public_bytes():
        raise BadCertificateError(
            "the external CA writes the next root's name with other bytes, so that nobody would"
            " take them for the same: the name has to be of PrintableStrings"
        )


def normalized(pem: bytes) -> bytes:
    """The certificates alone, in one form: digests and comparisons are of bytes."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in parse_chain(pem))


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def _usable(key: object) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return key
    raise BadCertificateError("the root CA's key is neither ECDSA nor RSA")


def digest(root_pem: bytes) -> str:
    """SHA-256 of a root's PEM bytes: sha256:…"""
    return f"sha256:{hashlib.sha256(root_pem).hexdigest()}"


def _requested_key(request_pem: bytes) -> PublicKey:
    try:
        request = x509.load_pem_x509_csr(request_pem)
        sound = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, InvalidSignature) as error:
        raise BadCertificateError(f"not a certificate request: {error}") from error
    if not sound:
        raise BadCertificateError("the request is not signed with the key that it names")
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS:
        return key
    raise BadCertificateError("the request's key is neither ECDSA nor RSA of 2048 bits")


def _subject(node: Identity) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, node.cluster_id),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, node.role),
            x509.NameAttribute(NameOID.COMMON_NAME, node.node_id),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: PublicKey,
    start: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _fingerprint(key: PublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _years_after(start: datetime, years: int) -> datetime:
    return start + timedelta(days=365 * years)
