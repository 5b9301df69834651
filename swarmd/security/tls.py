"""TLS contexts and channel credentials, made from a node's certificates."""

import os
import ssl
from typing import Any, Final

import grpc

from swarmd.security.certificates import NodeCertificates
from swarmd.security.identity import ROLES, Identity

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_ALPN: Final = ["h2"]


def remote_context(certificates: NodeCertificates) -> ssl.SSLContext:
    """For the remote port: a client may show a certificate; one that is shown must be good."""
    context = _server_context(certificates)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=certificates.root_pem.decode())
    return context


def local_context(certificates: NodeCertificates) -> ssl.SSLContext:
    """For the control socket: who may open the file needs no certificate."""
    return _server_context(certificates)


def client_context(certificates: NodeCertificates, roots_pem: bytes) -> ssl.SSLContext:
    """For a server that is no node: it has to be of these roots, and bear the name we dial."""
    context = _client_context(roots_pem)
    _load(context, certificates)
    return context


def manager_context(
    root_pem: bytes, certificates: NodeCertificates | None = None
) -> ssl.SSLContext:
    """For a manager: it has to be of this root; verifies as gRPC's own TLS does."""
    context = _client_context(root_pem)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a leaf may be the root
    context.set_alpn_protocols(_ALPN)
    if certificates is not None:
        _load(context, certificates)
    return context


def channel_credentials(certificates: NodeCertificates) -> grpc.ChannelCredentials:
    """For a channel to a manager: mutual TLS."""
    return grpc.ssl_channel_credentials(
        certificates.root_pem, certificates.key_pem, certificates.certificate_pem
    )


def identity_shown(tls: ssl.SSLObject, now: float) -> Identity | None:
    """Who the client proved to be in a finished handshake; None when it showed no certificate.

    A session of TLS 1.2 that was resumed was verified before: only its time can be up since.
    """
    shown = tls.getpeercert()
    if not shown or ssl.cert_time_to_seconds(str(shown["notAfter"])) < now:
        return None
    subject: Any = shown["subject"]
    names: dict[str, str] = dict(pair for part in subject for pair in part)
    role = names.get("organizationalUnitName", "")
    if role not in ROLES:
        return None
    return Identity(names.get("commonName", ""), role, names.get("organizationName", ""))


def _client_context(roots_pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=roots_pem.decode())
    return context


def _server_context(certificates: NodeCertificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(_ALPN)
    # What is resumed is not verified again, so let nothing be resumed that can be helped.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    _load(context, certificates)
    return context


def _load(context: ssl.SSLContext, certificates: NodeCertificates) -> None:
    """Python's ssl reads keys from files only, and OpenSSL no file with headers such as ours."""
    descriptor = os.memfd_create("swarm-node", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, certificates.key_pem + certificates.certificate_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
