"""A node whose certificate ran out while it was off asks for another, under its own id.

TLS cannot prove any more who it is. Beside a valid join token, its request does: it names the node,
and is signed with a key that the root CA certified under that name. That is the key of

    the newest certificate    as the managers keep it; or of
    the former certificate    which the node sends along, if it was good still when the newest one
                              was made: the node asked for that one, and never received it

Older keys prove nothing: with one, nobody could have asked for the newest certificate. So who may
come back is who could have renewed.
"""

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from swarmd.security.certificates import (
    BadCertificateError,
    check_chain,
    identity_of,
    make_request,
    parse_chain,
)

FORMER_HEADER: Final = "swarmd-former-certificate-bin"
"""The metadata of IssueNodeCertificate in which the former certificate goes, as PEM."""

QUORUM_HEADER: Final = "swarmd-quorum"
"""The metadata of IssueNodeCertificate in which a node says if it can be a manager, or why not."""
FORMS_QUORUM: Final = "yes"


def request_again(node_id: str, pem: bytes) -> bytes:
    """A request (PEM) of a node whose certificate ran out: names it, signed with the key it had."""
    key = serialization.load_pem_private_key(pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return make_request(key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node_id)]))


def named_in_request(csr: bytes) -> str:
    """The node id that a request names; empty in a first one, and in what is no request."""
    try:
        found = x509.load_pem_x509_csr(csr).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return ""
    return str(found[0].value) if found else ""


def is_proven(csr: bytes, newest_pem: bytes, former_pem: bytes, roots_pem: bytes) -> bool:
    """Whether the request comes from the node that it names; `former_pem` may be anything."""
    try:
        newest = parse_chain(newest_pem)[0]
        if _same_key(csr, newest):
            return True
        former = parse_chain(former_pem)
        return _is_certified(former, named_in_request(csr), parse_chain(roots_pem)) and (
            _same_key(csr, former[0])
            and former[0].not_valid_after_utc > newest.not_valid_before_utc
        )
    except (BadCertificateError, ValueError, UnsupportedAlgorithm):
        return False


def _is_certified(
    chain: Sequence[x509.Certificate], node_id: str, roots: Sequence[x509.Certificate]
) -> bool:
    """Raises BadCertificateError for another cluster's."""
    check_chain(chain, roots)
    return identity_of(chain[0]).node_id == node_id


def _same_key(csr: bytes, certificate: x509.Certificate) -> bool:
    request = x509.load_pem_x509_csr(csr)
    return request.is_signature_valid and request.public_key() == certificate.public_key()
