"""Host-mode ports, as the engine takes and reports them (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from swarmd import api
from workers.agent.executors.errors import RejectedError

_HOST: Final = api.PortConfig.PublishMode.HOST
_LAST: Final = 65535

Bindings = dict[str, list[dict[str, str]]]


def bindings(task: api.Task, network: str) -> Bindings:
    """What to publish, by `80/tcp`; no host port stands for one that the engine chooses."""
    found: Bindings = {}
    for port in checked(task, network):
        if network != "host":  # there, what a container listens on is the host's port
            published = str(port.published_port) if port.published_port else ""
            found.setdefault(_name(port), []).append({"HostPort": published})
    return found


def checked(task: api.Task, network: str) -> Sequence[api.PortConfig]:
    """The ports to publish; raises RejectedError for what cannot be."""
    for port in [*task.endpoint.ports, *task.endpoint.spec.ports]:
        if port.publish_mode != _HOST:
            raise RejectedError(
                f"ports: {port.target_port} is published by the ingress network, which containers "
                "are not on here; use mode host"
            )
        if not 0 < port.target_port <= _LAST or port.published_port > _LAST:
            raise RejectedError(f"ports: {port.published_port}:{port.target_port} is no port")
        if network == "none":
            raise RejectedError(f"ports: {port.target_port}: the network none publishes nothing")
        if network == "host" and port.published_port not in (0, port.target_port):
            raise RejectedError(
                f"ports: on the host's network {port.target_port} cannot be published as "
                f"{port.published_port}"
            )
    return task.endpoint.ports


def reported(task: api.Task, found: Mapping[str, Any]) -> api.PortStatus:
    """Where the task's ports are now; `found` is the engine's own list of them."""
    status = api.PortStatus()
    seen: set[tuple[str, int]] = set()
    names = {_name(port): port.name for port in task.endpoint.ports}
    for text, places in found.items():
        target, _, protocol = text.partition("/")
        for place in places or ():  # IPv4 and IPv6 each have one, with the same port
            published = int(place.get("HostPort") or 0)
            if text not in names or (text, published) in seen:
                continue
            seen.add((text, published))
            status.ports.add(
                name=names[text],
                protocol=api.PortConfig.Protocol.Value(protocol.upper()),
                target_port=int(target),
                published_port=published,
                publish_mode=_HOST,
            )
    return status


def _name(port: api.PortConfig) -> str:
    return f"{port.target_port}/{api.PortConfig.Protocol.Name(port.protocol).lower()}"
