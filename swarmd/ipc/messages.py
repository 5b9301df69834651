"""What is said on the pipes, as frozen dataclasses, to JSON lines and back.

A line with a kind that this side does not know is refused, a field that it does not know is passed
over: after an upgrade in place, a new worker may run under an old parent.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, TypeVar

from swarmd.errors import SwarmError

MANAGER: Final = "manager"
WORKER: Final = "worker"
ROLES: Final = (MANAGER, WORKER)


class BadMessageError(SwarmError):
    """The line is no message of this protocol."""


@dataclass(frozen=True, slots=True)
class Alive:
    """The worker's event loop turns."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker does its work."""


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """Who this node is now. `role` is manager or worker; a remote address only managers have."""

    node_id: str
    cluster_id: str
    role: str
    remote_addr: str = ""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            msg = f"a node's role is manager or worker, not {self.role!r}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class CertificateRenewed:
    """The certificate files were replaced; goes both ways."""


@dataclass(frozen=True, slots=True)
class Locked:
    """The manager's key file is sealed, and it waits for the unlock key; why, in a sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class UnlockKey:
    """The key under which the key file is sealed now, SWMKEY-1-…; empty: under none.

    Goes up from the manager, which knows it first, and down to each worker of the node.
    """

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Quorum:
    """Whether this manager keeps the store together with others, and so needs an etcd."""

    shared: bool


@dataclass(frozen=True, slots=True)
class Status:
    """Facts for `swarmd status`; each replaces what was said under its name before."""

    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Stopping:
    """The worker takes its stop path."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Why the worker exits. With `cannot_boot` there is no use in starting it again.

    What refused it may pass by itself (`transient`, a full disk): a worker that was ready once is
    started again then, as long as it takes.
    """

    reason: str
    cannot_boot: bool = False
    transient: bool = False


@dataclass(frozen=True, slots=True)
class Configure:
    """The node's options, as `NodeConfig.to_json` writes them."""

    config_json: str


@dataclass(frozen=True, slots=True)
class Managers:
    """Addresses of managers, the preferred one first."""

    addrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogLevel:
    level: str


Up = (
    Alive
    | Ready
    | NodeChanged
    | CertificateRenewed
    | Locked
    | UnlockKey
    | Quorum
    | Status
    | Stopping
    | Failed
)
Down = Configure | UnlockKey | Managers | LogLevel | CertificateRenewed

_Message = TypeVar("_Message")

_UP: Final[Mapping[str, type[Up]]] = {
    kind.__name__: kind
    for kind in (
        Alive,
        Ready,
        NodeChanged,
        CertificateRenewed,
        Locked,
        UnlockKey,
        Quorum,
        Status,
        Stopping,
        Failed,
    )
}
_DOWN: Final[Mapping[str, type[Down]]] = {
    kind.__name__: kind for kind in (Configure, UnlockKey, Managers, LogLevel, CertificateRenewed)
}


def encode(message: Up | Down) -> bytes:
    """The message as one line, its newline included."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}).encode() + b"\n"


def decode_up(line: bytes) -> Up:
    """What a worker said; raises BadMessageError."""
    return _decode(line, _UP)


def decode_down(line: bytes) -> Down:
    """What the parent said; raises BadMessageError."""
    return _decode(line, _DOWN)


def _decode(line: bytes, kinds: Mapping[str, type[_Message]]) -> _Message:
    try:
        record = json.loads(line)
        kind = kinds[record["kind"]]
        return kind(**_values(kind, record))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        msg = f"not a message: {line[:20]!r}"
        raise BadMessageError(msg) from error


def _values(kind: type[Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The record's values for this kind's fields, each checked; a field with a default may lack."""
    return {
        one.name: _CHECKS[one.type](record[one.name]) for one in fields(kind) if one.name in record
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(value)
    return tuple(_text(item) for item in value)


def _facts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(value)
    return {name: _text(item) for name, item in value.items()}


_CHECKS: Final[Mapping[Any, Callable[[Any], Any]]] = {
    str: _text,
    bool: _flag,
    tuple[str, ...]: _texts,
    dict[str, str]: _facts,
}
