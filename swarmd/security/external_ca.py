"""An external CA that speaks CFSSL's protocol: a certificate request goes out, a certificate comes.

    POST the URL (…/api/v1/cfssl/sign) over TLS, with this manager's certificate
    {"certificate_request": PEM, "subject": …, "hosts": […], "profile": …, "extensions": […]}
    ─▶ {"success": true, "result": {"certificate": PEM}, "errors": []}

It is trusted where its own certificate is of the root that it signs for.
"""

import http.client
import json
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from swarmd.errors import UnavailableError
from swarmd.security.certificates import BadCertificateError, NodeCertificates, parse_chain
from swarmd.security.identity import CA, MANAGER, Identity
from swarmd.security.root_ca import RootCA, check_intermediate, normalized
from swarmd.security.tls import client_context

TIMEOUT_SECONDS: Final = 5.0
CROSS_SIGN_PROFILE: Final = "CA"
"""The signing profile that a CFSSL server keeps for intermediates; SwarmKit's name for it."""
_WORDS: Final = {
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
}
_LARGEST_REPLY: Final = 256 << 10
_HTTPS: Final = 443


class ExternalCAError(UnavailableError):
    """None of the external CAs answered as one does: to be tried again."""


@dataclass(frozen=True, slots=True)
class ExternalCA:
    """The URLs to try in turn. `roots_pem` is what their certificates have to be of."""

    urls: Sequence[str]
    roots_pem: bytes
    own: NodeCertificates
    intermediates: bytes = b""

    def sign(self, request_pem: bytes, node: Identity) -> bytes:
        """The node's certificate, and what leads from it to the root; blocks.

        Raises ExternalCAError where nobody answers, BadCertificateError for a refusal.
        """
        return self._ask(_sign_request(request_pem, node)) + self.intermediates

    def cross_sign(self, following: RootCA) -> bytes:
        """The following root as an intermediate of the present one, `roots_pem`; blocks.

        Raises ExternalCAError where nobody answers, BadCertificateError for what is none.
        """
        made = normalized(self._ask(_cross_sign_request(following)))
        check_intermediate(made, self.roots_pem, following.certificate_pem)
        return made

    def _ask(self, request: dict[str, Any]) -> bytes:
        failures = []
        body = json.dumps(request).encode()
        for url in self.urls:
            try:
                chain = _certificate(_post(url, body, self._context()))
            except (OSError, http.client.HTTPException, ValueError) as error:
                failures.append(f"{url}: {error!s}")
                continue
            parse_chain(chain)
            return chain
        raise ExternalCAError(f"no external CA answers: {'; '.join(failures)}")

    def answers(self, url: str) -> bool:
        """Whether somebody there takes our certificate, and shows one of the right root; blocks."""
        try:
            parts = _split(url)
            place = (str(parts.hostname), parts.port or _HTTPS)
            with (
                socket.create_connection(place, TIMEOUT_SECONDS) as plain,
                self._context().wrap_socket(plain, server_hostname=parts.hostname),
            ):
                return True
        except (OSError, ValueError):
            return False

    def _context(self) -> ssl.SSLContext:
        return client_context(self.own, self.roots_pem)


def _sign_request(request_pem: bytes, node: Identity) -> dict[str, Any]:
    names = [node.role, node.node_id, *([CA] if node.role == MANAGER else [])]
    subject = {"CN": node.node_id, "names": [{"OU": node.role, "O": node.cluster_id}]}
    return {"certificate_request": request_pem.decode(), "hosts": names, "subject": subject}


def _cross_sign_request(following: RootCA) -> dict[str, Any]:
    """As SwarmKit's managers ask: CFSSL takes no extension but names from a request by itself."""
    root = parse_chain(following.certificate_pem)[0]
    basic = root.extensions.get_extension_for_class(x509.BasicConstraints)
    extension = {
        "id": basic.oid.dotted_string,
        "critical": basic.critical,
        "value": basic.value.public_bytes().hex(),
    }
    words = {_WORDS[one.oid]: str(one.value) for one in root.subject if one.oid in _WORDS}
    common = root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    request = x509.CertificateSigningRequestBuilder().subject_name(root.subject)
    request = request.add_extension(basic.value, basic.critical)
    signed = request.sign(following.signer().key, hashes.SHA256())
    return {
        "certificate_request": signed.public_bytes(serialization.Encoding.PEM).decode(),
        "hosts": [],
        "subject": {"CN": str(common[0].value) if common else "", "names": [words]},
        "profile": CROSS_SIGN_PROFILE,
        "extensions": [extension],
    }


def _post(url: str, body: bytes, context: ssl.SSLContext) -> Any:
    parts = _split(url)
    connection = http.client.HTTPSConnection(
        str(parts.hostname), parts.port or _HTTPS, timeout=TIMEOUT_SECONDS, context=context
    )
    try:
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        connection.request("POST", target, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read(_LARGEST_REPLY)
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise ValueError(f"it answers with status {answer.status}")
    return json.loads(content)


def _certificate(reply: Any) -> bytes:
    """The certificate of a reply; raises BadCertificateError for a no, ValueError for no reply."""
    match reply:
        case {"success": True, "result": {"certificate": str(certificate)}}:
            return certificate.encode()
        case {"success": False, "errors": errors}:
            raise BadCertificateError(f"the external CA refused: {str(errors)[:200]}")
        case _:
            raise ValueError("its answer is not of CFSSL's protocol")


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("an external CA has an https:// URL")
    return parts
