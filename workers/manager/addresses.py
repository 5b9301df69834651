"""Where this manager is found."""

from typing import Final

from swarmd.config import NodeConfig
from swarmd.rpc.sockets import default_route_host, join_host_port

_EVERY_ADDRESS: Final = frozenset({"", "0.0.0.0", "[::]"})  # noqa: S104  compared, not bound


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
