"""Where this manager is found, and whether others are there where they are said to be."""

import asyncio
from typing import Final

from swarmd.config import NodeConfig
from swarmd.rpc.sockets import default_route_host, join_host_port

_EVERY_ADDRESS: Final = frozenset({"", "0.0.0.0", "[::]"})  # noqa: S104  compared, not bound

_REACH_SECONDS: Final = 1.0


def listens_everywhere(config: NodeConfig) -> bool:
    """On every address of the host, with no word on which of them others should use."""
    host = config.listen_remote_api.rpartition(":")[0]
    return not config.advertise_remote_api and host in _EVERY_ADDRESS


def reachable_address(config: NodeConfig, port: int) -> str:
    """Where other nodes find the remote port: as advertised, else as listened on.

    For a port on every address it is that of the default route, as Go's managers have it; a host
    without one can only be sure of loopback's. Agents hear the address by which they came.
    """
    if listens_everywhere(config):
        return join_host_port(default_route_host() or "127.0.0.1", port)
    if not config.advertise_remote_api:
        return f"{config.listen_remote_api.rpartition(':')[0]}:{port}"
    host, _, given = config.advertise_remote_api.rpartition(":")
    whole = host and given.isdecimal() and not config.advertise_remote_api.endswith("]")
    return config.advertise_remote_api if whole else f"{config.advertise_remote_api}:{port}"


async def takes_connections(addr: str) -> bool:
    """Whether a manager's port does, now: what it says there, its own health tells."""
    host, _, port = addr.rpartition(":")
    try:
        async with asyncio.timeout(_REACH_SECONDS):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, ValueError, OverflowError):
        return False
    writer.close()
    return True
