"""What is known of a node to the workers that should exist (pure)."""

import binascii
import enum
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from swarmd.ipc.messages import (
    MANAGER,
    WORKER,
    Configure,
    Down,
    Locked,
    LogLevel,
    Managers,
    NodeChanged,
    UnlockKey,
)

AGENT_WORKER: Final = "agent"
MANAGER_WORKER: Final = "manager"
ETCD_WORKER: Final = "etcd"
STOP_ORDER: Final = (AGENT_WORKER, MANAGER_WORKER, ETCD_WORKER)
"""An agent needs a manager to say its last words to, and a manager its store; never the reverse."""

# An X.509 name says the organizational unit, which is the role, as its object id (2.5.4.11) and a
# short string: its type, its length, its text.
_ROLE_IN_CERTIFICATE: Final = re.compile(
    rb"\x06\x03\x55\x04\x0b..swarm-(manager|worker)", re.DOTALL
)
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


class Need(enum.Enum):
    RUN = enum.auto()  # it does its work
    WAIT = enum.auto()  # its process is there, and waits for its configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What is known; `role` is empty as long as the node has no certificate."""

    joins: bool = False
    role: str = ""
    node_id: str = ""
    cluster_id: str = ""
    remote_addr: str = ""
    quorum: bool = False  # the store is kept together with other managers
    locked: str = ""  # why; empty when it is not
    unlock_key: str = field(default="", repr=False)


def wanted_workers(facts: NodeFacts) -> Mapping[str, Need]:
    """The workers that should exist, in the order in which to start them."""
    if facts.locked:
        return {MANAGER_WORKER: Need.RUN, AGENT_WORKER: Need.WAIT}
    if facts.role == MANAGER:
        etcd = {ETCD_WORKER: Need.RUN} if facts.quorum else {}
        return {**etcd, MANAGER_WORKER: Need.RUN, AGENT_WORKER: Need.RUN}
    if facts.role == WORKER or facts.joins:
        return {AGENT_WORKER: Need.RUN}
    return {MANAGER_WORKER: Need.RUN, AGENT_WORKER: Need.WAIT}


def missing(facts: NodeFacts, running: Collection[str]) -> str:
    """Why the node is not ready, in a word or two; empty when it is."""
    if facts.locked:
        return facts.locked
    if not facts.role:
        return "has no certificate yet"
    absent = [name for name in wanted_workers(facts) if name not in running]
    return f"waits for {' and '.join(absent)}" if absent else ""


def with_news(facts: NodeFacts, worker: str, news: NodeChanged) -> NodeFacts:
    """The facts after a worker said this.

    The agent's word on the role always counts. The manager's only on a first node: one that is
    being drained after a demotion still takes itself for a manager.
    """
    role = news.role if worker == AGENT_WORKER or not facts.role else facts.role
    addr = news.remote_addr or facts.remote_addr
    return replace(
        facts,
        role=role,
        node_id=news.node_id,
        cluster_id=news.cluster_id,
        remote_addr=addr if role == MANAGER else "",
    )


def with_lock(facts: NodeFacts, news: Locked | UnlockKey) -> NodeFacts:
    """The facts after the manager asked for the unlock key, or said which one it is now."""
    if isinstance(news, Locked):
        return replace(facts, locked=news.reason)
    return replace(facts, locked="", unlock_key=news.key)


def role_in_certificate(pem: bytes) -> str:
    """The role that a node's certificate gives it, without a look at its signatures.

    Empty where there is none to be read: the worker that checks it will say what is wrong with it.
    """
    block = _PEM.search(pem)
    if block is None:
        return ""
    try:
        found = _ROLE_IN_CERTIFICATE.search(binascii.a2b_base64(block.group(1)))
    except binascii.Error:
        return ""
    return found.group(1).decode() if found else ""


def briefs(facts: NodeFacts, configure: Configure, level: LogLevel) -> dict[str, tuple[Down, ...]]:
    """What each wanted worker is told; nothing yet, where it waits."""
    told: dict[str, tuple[Down, ...]] = {}
    # The key comes first, as who is configured reads the files that it opens.
    key = (UnlockKey(facts.unlock_key),) if facts.unlock_key else ()
    for name, need in wanted_workers(facts).items():
        told[name] = (*key, configure, level) if need is Need.RUN else ()
        if told[name] and name == AGENT_WORKER and facts.remote_addr:
            told[name] += (Managers((facts.remote_addr,)),)
    return told
