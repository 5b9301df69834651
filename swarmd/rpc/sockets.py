"""Bind the remote port and the control socket, or say why not."""

import errno
import os
import socket
import stat
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from swarmd.errors import CannotBootError

_BACKLOG: Final = 4096
_LONGEST_PATH: Final = 107  # bytes; the kernel's sun_path ends with a zero
_LAST_PORT: Final = 65535  # the resolver would silently take a higher one modulo 65536
_LIVE_SECONDS: Final = 2.0
_OWNER_ONLY: Final = 0o177


def bind_remote(address: str) -> socket.socket:
    """Listen on HOST:PORT ([HOST]:PORT for IPv6); raises CannotBootError naming it."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > _LAST_PORT:
        raise CannotBootError(f"{address!r} is not a HOST:PORT to listen on")
    try:
        found = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, proto, _, name = found[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise CannotBootError(f"cannot listen on {address}: {error}") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _listen(listener, name, address)


def bind_control(path: Path) -> socket.socket:
    """Listen on a unix socket that only its owner may open; raises CannotBootError naming it.

    A socket that nobody listens on any more is replaced.
    """
    length = len(os.fsencode(path))
    if length > _LONGEST_PATH:
        raise CannotBootError(
            f"control socket {path} has {length} bytes, and a unix socket's path at most"
            f" {_LONGEST_PATH}: choose a shorter one with --listen-control-api"
        )
    _remove_stale(path)
    mask = os.umask(_OWNER_ONLY)  # so that not for a moment anyone else may open it
    try:
        return _listen(socket.socket(socket.AF_UNIX), str(path), f"control socket {path}")
    finally:
        os.umask(mask)


def remove_control(path: Path, listener: socket.socket) -> None:
    """Close, and remove the file, unless another program has put its own in its place."""
    listener.close()
    if not _answers(path):
        path.unlink(missing_ok=True)


def join_host_port(host: str, port: int) -> str:
    """HOST:PORT, or [HOST]:PORT for IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def default_route_host() -> str:
    """The address that this host shows to the world; empty where it has no route to it."""
    for family, somewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((somewhere, 9))  # sends nothing: only the route is looked up
                host = ip_address(probe.getsockname()[0])
        except OSError:
            continue
        if not host.is_unspecified:  # so it is where there is a route, and no address yet
            return str(host)
    return ""


def _listen(listener: socket.socket, name: object, shown: str) -> socket.socket:
    try:
        listener.bind(name)  # type: ignore[arg-type]
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        reason = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise CannotBootError(f"cannot listen on {shown}: {reason}") from error
    return listener


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # nothing there, or bind says what is wrong
    if not stat.S_ISSOCK(mode):
        raise CannotBootError(f"cannot listen on control socket {path}: it is there, and no socket")
    if _answers(path):
        raise CannotBootError(
            f"control socket {path} is in use: another swarmd answers there; stop it, or choose"
            " another path with --listen-control-api"
        )
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    """Whether a program listens; one too busy to take the connection counts."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_LIVE_SECONDS)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True
