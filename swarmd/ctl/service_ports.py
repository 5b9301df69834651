"""Port flags into a service's endpoint (pure): SwarmKit's --ports, and Docker's --publish."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import click

from swarmd import api
from swarmd.ctl.values import flat, is_long, long_form

_Mode: Final = api.PortConfig.PublishMode
_PROTOCOLS: Final = dict(api.PortConfig.Protocol.items())
_FIELDS: Final = ("published", "target", "protocol", "mode")
_HIGHEST: Final = 65535
_SHORT: Final = re.compile(
    r"(?:(?P<published>\d+)(?:-(?P<last>\d+))?:)?"
    r"(?P<target>\d+)(?:-(?P<target_last>\d+))?(?:/(?P<protocol>\w+))?"
)


def merge_ports(spec: api.ServiceSpec, given: Mapping[str, Any]) -> None:
    """Change the ports by what was given; raises BadParameter."""
    if "ports" in given:
        spec.endpoint.Clear()
        spec.endpoint.ports.extend(map(_port, flat(given["ports"])))
    if "endpoint_mode" in given:
        mode = given["endpoint_mode"].upper()
        spec.endpoint.mode = api.EndpointSpec.ResolutionMode.Value(mode)
    if "publish_rm" in given:
        gone = [_removal(text) for text in given["publish_rm"]]
        kept = [port for port in spec.endpoint.ports if not _is_any(port, gone)]
        del spec.endpoint.ports[:]
        spec.endpoint.ports.extend(kept)
    for text in given.get("publish_add", ()):
        added = [port for port in published(text) if port not in spec.endpoint.ports]
        spec.endpoint.ports.extend(added)


def _is_any(port: api.PortConfig, gone: Iterable[api.PortConfig]) -> bool:
    key = port.target_port, port.protocol, port.publish_mode
    return any(key == (one.target_port, one.protocol, one.publish_mode) for one in gone)


def _removal(text: str) -> api.PortConfig:
    """A port is taken out by its target: 80, 8080:80/udp, or target=80,mode=host."""
    return published(text, "--publish-rm")[0]


def published(text: str, flag: str = "--publish") -> list[api.PortConfig]:
    """8080:80[/udp], or published=8080,target=80,protocol=udp,mode=host; ranges are many ports."""
    return [_long(text, flag)] if is_long(text) else _short(text, flag)


def _long(text: str, flag: str) -> api.PortConfig:
    found = dict(long_form(text, flag, _FIELDS))
    if "target" not in found:
        raise click.BadParameter(f"{text!r} has no target=PORT", param_hint=flag)
    mode = found.get("mode", "ingress").upper()
    if mode not in _Mode.keys():  # noqa: SIM118 - an enum, no dict
        raise click.BadParameter(f"{found['mode']!r} is not ingress or host", param_hint=flag)
    return api.PortConfig(
        protocol=_protocol(found.get("protocol"), flag),
        target_port=_number(found["target"], flag),
        published_port=_number(found.get("published", "0"), flag),
        publish_mode=_Mode.Value(mode),
    )


def _short(text: str, flag: str) -> list[api.PortConfig]:
    match = _SHORT.fullmatch(text)
    if match is None:
        raise click.BadParameter(
            f"{text!r} is not [PUBLISHED:]TARGET[/protocol]; addresses cannot be given",
            param_hint=flag,
        )
    first = _number(match["published"] or "0", flag)
    count = _number(match["last"] or str(first), flag) - first + 1
    target = _number(match["target"], flag)
    targets = _number(match["target_last"] or str(target), flag) - target + 1
    if count < 1 or targets < 1 or (targets > 1 and first and count != targets):
        raise click.BadParameter(f"{text!r}: the ranges do not fit", param_hint=flag)
    protocol = _protocol(match["protocol"], flag)
    return [
        api.PortConfig(
            protocol=protocol,
            target_port=target + (number if targets > 1 else 0),
            published_port=first + number if first else 0,
        )
        for number in range(max(count, targets))
    ]


def _number(text: str, flag: str) -> int:
    if not text.isdecimal() or int(text) > _HIGHEST:
        raise click.BadParameter(f"{text!r} is no port", param_hint=flag)
    return int(text)


def _protocol(text: str | None, flag: str) -> api.PortConfig.Protocol.ValueType:
    name = (text or "tcp").upper()
    if name not in _PROTOCOLS:
        raise click.BadParameter(f"{text!r} is not tcp, udp or sctp", param_hint=flag)
    return _PROTOCOLS[name]


def _port(text: str) -> api.PortConfig:
    """name:port[/protocol][:node port]: published on the node, as all of SwarmKit's are."""
    match = re.fullmatch(r"([^:]*):(\d+)(?:/(\w+))?(?::(\d+)(?:/(\w+))?)?", text)
    if match is None:
        raise click.BadParameter(
            f"{text!r} is not name:port[/protocol][:node port]", param_hint="--ports"
        )
    name, target, protocol, node_port, again = match.groups()
    if again and (protocol or "tcp").lower() != again.lower():
        raise click.BadParameter(f"{text!r} names two protocols", param_hint="--ports")
    return api.PortConfig(
        name=name,
        protocol=_protocol(protocol, "--ports"),
        target_port=int(target),
        published_port=int(node_port or 0),
        publish_mode=_Mode.HOST,
    )
