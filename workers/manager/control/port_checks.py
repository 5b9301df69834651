"""Do published ports collide, within a service and with those of others (pure)."""

from collections.abc import Iterable
from typing import Final

from swarmd import api
from swarmd.errors import InvalidArgumentError

_INGRESS: Final = api.PortConfig.PublishMode.INGRESS
_HOST: Final = api.PortConfig.PublishMode.HOST
_Port = tuple[int, int]  # protocol, number


def check_endpoint(spec: api.EndpointSpec) -> None:
    """No port twice; the routing mesh, which balances by address, cannot serve DNS round robin."""
    seen: set[_Port] = set()
    by_dns = spec.mode == api.EndpointSpec.ResolutionMode.DNSRR
    for port in spec.ports:
        if by_dns and port.publish_mode == _INGRESS:
            raise InvalidArgumentError(
                "EndpointSpec: port published with ingress mode can't be used with dnsrr mode"
            )
        if port.published_port == 0:  # the allocator finds a free one
            continue
        if _key(port) in seen:
            raise InvalidArgumentError("EndpointSpec: duplicate published ports provided")
        seen.add(_key(port))


def check_conflicts(
    spec: api.EndpointSpec, services: Iterable[api.Service], own_id: str = ""
) -> None:
    """No other service has one of these ports, unless both publish it on the host.

    Two services may share a host's port number: the scheduler keeps them on different hosts.
    """
    ingress = _published(spec, _INGRESS)
    everywhere = ingress | _published(spec, _HOST)
    if not everywhere:
        return
    for service in services:
        if service.id == own_id:
            continue
        for port in (*service.spec.endpoint.ports, *service.endpoint.ports):
            if port.publish_mode == _HOST and _key(port) in ingress:
                raise _in_use(port, service, "a host-published port")
            if port.publish_mode == _INGRESS and _key(port) in everywhere:
                raise _in_use(port, service, "an ingress port")


def needs_ingress(spec: api.ServiceSpec) -> bool:
    """Whether the service publishes a port on the routing mesh."""
    return any(port.publish_mode == _INGRESS for port in spec.endpoint.ports)


def _published(spec: api.EndpointSpec, mode: api.PortConfig.PublishMode.ValueType) -> set[_Port]:
    return {_key(p) for p in spec.ports if p.published_port != 0 and p.publish_mode == mode}


def _key(port: api.PortConfig) -> _Port:
    return port.protocol, port.published_port


def _in_use(port: api.PortConfig, service: api.Service, as_what: str) -> InvalidArgumentError:
    name = service.spec.annotations.name
    return InvalidArgumentError(
        f"port '{port.published_port}' is already in use by service '{name}' ({service.id}) "
        f"as {as_what}"
    )
