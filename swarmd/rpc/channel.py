"""Dial the control socket, or a manager: with this node's certificate, or to get one."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
from grpc import aio

from swarmd import api
from swarmd.api.protos.ca_pb2_grpc import CAStub
from swarmd.errors import PermissionDeniedError, UnauthenticatedError, UnavailableError
from swarmd.rpc.errors import from_rpc_error
from swarmd.security.certificates import NodeCertificates, identity_of, parse_chain
from swarmd.security.identity import MANAGER
from swarmd.security.root_ca import digest
from swarmd.security.tls import channel_credentials

_NO_LIMIT: Final = -1
_HELLO_SECONDS: Final = 5.0
DialToJoin = Callable[[str, bytes], AbstractAsyncContextManager[aio.Channel]]
OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.max_receive_message_length", _NO_LIMIT),
    ("grpc.max_send_message_length", _NO_LIMIT),
    ("grpc.ssl_target_name_override", MANAGER),
    ("grpc.use_local_subchannel_pool", 1),  # a channel's end closes its connection
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 10_000),  # by its name a delay, in fact a connection's time
    ("grpc.max_reconnect_backoff_ms", 5_000),
]

# A manager whose host is gone, or cut off, says nothing: with these that is found out soon.
LIVELY: Final[Mapping[str, Any]] = {
    "grpc.keepalive_time_ms": 2_000,
    "grpc.keepalive_timeout_ms": 2_000,
}


async def dial_control(path: Path | str) -> aio.Channel:
    """A channel to the manager behind a control socket; raises UnavailableError in one clear line.

    Trusts the certificate that the socket shows now: who may open the file need not ask more.
    """
    shown = await asyncio.to_thread(_leaf_of_control, str(path))
    credentials = grpc.ssl_channel_credentials(shown)
    return aio.secure_channel(f"unix:{path}", credentials, options=OPTIONS)


def node_behind(path: Path | str) -> str:
    """The id of the node whose control socket that is; blocks; raises as `dial_control`."""
    return identity_of(parse_chain(_leaf_of_control(str(path)))[0]).node_id


def dial_manager(
    address: str, certificates: NodeCertificates, further: Mapping[str, Any] | None = None
) -> aio.Channel:
    """A channel to a manager's remote port, under mutual TLS; `further` options go before ours."""
    options = [*{**dict(OPTIONS), **(further or {})}.items()]
    return aio.secure_channel(address, channel_credentials(certificates), options=options)


async def fetch_root(address: str, root_digest: str, dial: DialToJoin | None = None) -> bytes:
    """The root CA (PEM) of the manager at HOST:PORT, if it is the one that a join token names.

    `dial` is dial_to_join, or does as it does. Raises UnauthenticatedError when it is another root,
    UnavailableError when nobody answers.
    """
    shown = await asyncio.to_thread(_leaf_of_manager, address)
    _check_time(shown, address, time.time())  # the clock that TLS goes by
    async with (dial or dial_to_join)(address, shown) as channel:
        try:
            answer = await CAStub(channel).GetRootCACertificate(
                api.GetRootCACertificateRequest(), timeout=_HELLO_SECONDS
            )
        except aio.AioRpcError as error:
            raise from_rpc_error(error) from error
    if digest(answer.certificate) != root_digest:
        raise UnauthenticatedError(
            f"the manager at {address} has another root CA than the one in the join token:"
            " the token is of another cluster, or somebody stands between"
        )
    return bytes(answer.certificate)


def dial_to_join(address: str, root_pem: bytes) -> aio.Channel:
    """A channel without a certificate, for the three calls of a node that has none yet."""
    credentials = grpc.ssl_channel_credentials(root_pem)
    return aio.secure_channel(address, credentials, options=OPTIONS)


def _check_time(shown_pem: bytes, address: str, now: float) -> None:
    """Raises UnauthenticatedError for a certificate of another time; TLS says it less plainly."""
    (shown, *_), here = parse_chain(shown_pem), datetime.fromtimestamp(now, UTC)
    begin, end = shown.not_valid_before_utc, shown.not_valid_after_utc
    if begin <= here < end:
        return
    when = f"begins {begin:%Y-%m-%d %H:%M}" if here < begin else f"ended {end:%Y-%m-%d %H:%M}"
    raise UnauthenticatedError(
        f"the certificate of the manager at {address} {when} UTC, and this host's clock says"
        f" {here:%Y-%m-%d %H:%M} UTC: set the clock that is wrong"
    )


def _leaf_of_manager(address: str) -> bytes:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _HELLO_SECONDS) as plain:
            return leaf_shown(plain)
    except (OSError, ValueError) as error:
        raise UnavailableError(f"no manager answers at {address}: {error}") from error


def _leaf_of_control(path: str) -> bytes:
    try:
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(_HELLO_SECONDS)
            plain.connect(path)
            return leaf_shown(plain)
    except PermissionError as error:
        raise PermissionDeniedError(f"{path} may not be opened: run as its owner") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnavailableError(f"no swarmd answers at {path}: is it running? ({reason})") from error


def leaf_shown(plain: socket.socket) -> bytes:
    """The certificate (PEM) that a server shows in a TLS handshake, unverified; raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(plain) as secured:
        shown = secured.getpeercert(binary_form=True)
    if not shown:
        raise ConnectionError("it shows no certificate")
    return ssl.DER_cert_to_PEM_cert(shown).encode()
