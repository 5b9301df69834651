"""Which published ports are taken, and what a service's endpoint should be.

SwarmKit's rules: an ingress port is the cluster's, one service each for a protocol; one that names
no published port gets one between 30000 and 32767, and keeps it while its name, protocol and target
stay. A host port is a node's matter, and only copied.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from swarmd import api
from swarmd.errors import SwarmError

DYNAMIC_PORTS: Final = range(30000, 32768)
ALL_PORTS: Final = range(1, 65536)
INGRESS: Final = api.PortConfig.PublishMode.INGRESS

_Key = tuple[str, int, int]


class PortUnavailableError(SwarmError):
    """The service waits until the port is free again."""


class PortBook:
    """The ingress ports that services hold, by protocol."""

    def __init__(self) -> None:
        self._taken: dict[int, dict[int, str]] = defaultdict(dict)

    def hold(self, service: api.Service) -> None:
        """Note the ports of an endpoint that stands."""
        for port in service.endpoint.ports:
            if port.publish_mode == INGRESS and port.published_port:
                self._taken[port.protocol].setdefault(port.published_port, service.id)

    def release(self, service_id: str) -> None:
        """The service is gone, or gets its ports anew."""
        for ports in self._taken.values():
            for number in [number for number, owner in ports.items() if owner == service_id]:
                del ports[number]

    def take(self, service_id: str, protocol: int, wanted: int) -> int:
        """The port, or any dynamic one for 0; raises PortUnavailableError."""
        taken = self._taken[protocol]
        choices: Iterable[int] = (wanted,) if wanted else DYNAMIC_PORTS
        for number in choices:
            if number not in taken and number in ALL_PORTS:
                taken[number] = service_id
                return number
        what = f"port {wanted}" if wanted else "a dynamic port"
        message = f"{what} is not free for publishing"
        raise PortUnavailableError(message)


def is_allocated(service: api.Service) -> bool:
    """Whether the endpoint is what the spec asks for."""
    wanted, given = service.spec.endpoint.ports, service.endpoint.ports
    if not wanted and not given:
        return True
    if len(wanted) != len(given) or service.spec.endpoint != service.endpoint.spec:
        return False
    return all(_serves(one, other) for one, other in zip(wanted, given, strict=True))


def _serves(wanted: api.PortConfig, given: api.PortConfig) -> bool:
    ingress = wanted.publish_mode == INGRESS
    if ingress and not wanted.published_port:
        return (
            given.publish_mode == INGRESS
            and bool(given.published_port)
            and (_key(wanted) == _key(given))
        )
    return wanted == given


def allocate(service: api.Service, book: PortBook) -> list[api.PortConfig]:
    """The ports of its endpoint, taken in the book; raises PortUnavailableError, taking none."""
    kept = {
        _key(port): port.published_port
        for port in service.endpoint.ports
        if port.publish_mode == INGRESS
    }
    book.release(service.id)
    ports = []
    try:
        # Named ports first, so that no dynamic one takes what another port of the spec names.
        for index, port in sorted(
            enumerate(service.spec.endpoint.ports), key=lambda pair: not pair[1].published_port
        ):
            given = api.PortConfig()
            given.CopyFrom(port)
            if port.publish_mode == INGRESS:
                given.published_port = _take(service.id, port, kept, book)
            ports.append((index, given))
    except PortUnavailableError:
        book.release(service.id)
        raise
    return [port for _, port in sorted(ports, key=lambda pair: pair[0])]


def _take(service_id: str, port: api.PortConfig, kept: dict[_Key, int], book: PortBook) -> int:
    before = kept.pop(_key(port), 0)
    if port.published_port or not before:
        return book.take(service_id, port.protocol, port.published_port)
    try:
        return book.take(service_id, port.protocol, before)
    except PortUnavailableError:
        return book.take(service_id, port.protocol, 0)


def _key(port: api.PortConfig) -> _Key:
    return port.name, port.protocol, port.target_port
