"""Placement constraints: `node.role==manager`, `node.labels.rack!=r1`; all of them must hold.

Keys are node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch,
node.labels.NAME and engine.labels.NAME. Values are compared without case; a missing value is the
empty one. The label prefixes are read without case too, the other keys and label names with it.
A key that is none of these fits no node, whatever the operator.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from swarmd import api
from swarmd.api import addresses
from swarmd.errors import SwarmError

NODE_LABELS: Final = "node.labels."
ENGINE_LABELS: Final = "engine.labels."
_KEY: Final = re.compile(r"[a-z_][a-z0-9\-_.]+", re.ASCII | re.IGNORECASE)
# Characters that a later operator could need (<, >, ~ …) stay out of values.
_VALUE: Final = re.compile(r"[a-z0-9:\-_\t\n\f\r .*()?+\[\]\\^$|/]+", re.ASCII | re.IGNORECASE)
_OPERATORS: Final = ("==", "!=")
_NUMBER: Final = re.compile(r"[0-9]+", re.ASCII)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class InvalidConstraintError(SwarmError):
    """Clients know it by UNKNOWN, SwarmKit's code for it."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """One expression: the key's value is (`equal`) or is not the one given."""

    key: str
    equal: bool
    value: str

    def holds(self, found: str) -> bool:
        """Whether a node whose value is `found` satisfies this."""
        return self.equal == (found.lower() == self.value.lower())


def parse(expressions: Iterable[str]) -> list[Constraint]:
    """The constraints in the order given; raises InvalidConstraintError for the first bad one."""
    return [_parse(expression) for expression in expressions]


def matches(constraints: Iterable[Constraint], node: api.Node) -> bool:
    """Whether the node satisfies every constraint."""
    return all(_matches(constraint, node) for constraint in constraints)


def label(name: str, node: api.Node) -> str | None:
    """The value of node.labels.NAME or engine.labels.NAME, "" where unset; None for other names."""
    prefixed = _label_of(name)
    return None if prefixed is None else prefixed(node)


def value(key: str, node: api.Node) -> str | None:
    """What the node has for that key, as people read it; None for a key that nobody knows."""
    if key == "node.ip":
        return node.status.addr
    value_of = _VALUES.get(key) or _label_of(key)
    return None if value_of is None else value_of(node)


def _parse(expression: str) -> Constraint:
    for operator in _OPERATORS:
        key, found, value = expression.partition(operator)
        if found:
            return Constraint(_key(key.strip()), operator == "==", _value(value.strip()))
    message = f"constraint expected one operator from {', '.join(_OPERATORS)}"
    raise InvalidConstraintError(message)


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        message = f"key '{text}' is invalid"
        raise InvalidConstraintError(message)
    return text


def _value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        message = f"value '{text}' is invalid"
        raise InvalidConstraintError(message)
    return text


def _matches(constraint: Constraint, node: api.Node) -> bool:
    if constraint.key == "node.ip":
        return _matches_ip(constraint, node.status.addr)
    value_of = _VALUES.get(constraint.key) or _label_of(constraint.key)
    return value_of is not None and constraint.holds(value_of(node))


_VALUES: Final[dict[str, Callable[[api.Node], str]]] = {
    "node.id": lambda node: node.id,
    "node.hostname": lambda node: node.description.hostname,
    "node.role": lambda node: api.NodeRole.Name(node.role),
    "node.platform.os": lambda node: node.description.platform.os,
    "node.platform.arch": lambda node: node.description.platform.architecture,
}


def _label_of(key: str) -> Callable[[api.Node], str] | None:
    lower = key.lower()
    if lower.startswith(NODE_LABELS) and len(key) > len(NODE_LABELS):
        name = key[len(NODE_LABELS) :]
        return lambda node: node.spec.annotations.labels.get(name, "")
    if lower.startswith(ENGINE_LABELS) and len(key) > len(ENGINE_LABELS):
        name = key[len(ENGINE_LABELS) :]
        return lambda node: node.description.engine.labels.get(name, "")
    return None


def _matches_ip(constraint: Constraint, addr: str) -> bool:
    """A malformed value fits no node, not even with !=."""
    node_ip, wanted = addresses.parse(addr), addresses.parse(constraint.value)
    if wanted is not None:
        return constraint.equal == (node_ip == wanted)
    network = _network(constraint.value)
    if network is None:
        return False
    return constraint.equal == (node_ip is not None and node_ip in network)


def _network(text: str) -> _Network | None:
    _, _, prefix = text.partition("/")
    if not _NUMBER.fullmatch(prefix):  # a written-out netmask is not CIDR
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
