"""Pending requests in the store become issued certificates, many in one commit."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Final

from swarmd import api
from swarmd.api import defaults, times
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import (
    CorruptStateError,
    NotFoundError,
    SwarmError,
    UnavailableError,
)
from swarmd.logs import fields, get_logger
from swarmd.security.certificates import (
    BadCertificateError,
    check_chain,
    identity_of,
    parse_chain,
)
from swarmd.security.external_ca import ExternalCA, ExternalCAError
from swarmd.security.identity import MANAGER, WORKER, Identity
from swarmd.security.root_ca import DEFAULT_EXPIRY_SECONDS, signer_of
from swarmd.security.root_ca import Signer as RootSigner
from swarmd.store import Committed, Deleted, Event, Select, Store, WatchOverflowError, WriteTx, by
from swarmd.store.events import Change

log = get_logger(__name__)

_State = api.IssuanceStatus.State
_TO_SIGN: Final = frozenset({_State.PENDING, _State.RENEW})
_FINAL: Final = frozenset({_State.ISSUED, _State.FAILED, _State.ROTATE})
External = Callable[[api.Cluster], ExternalCA | None]
_OU: Final = {api.NodeRole.MANAGER: MANAGER, api.NodeRole.WORKER: WORKER}


@dataclass(frozen=True, slots=True)
class Signed:
    """The outcome of one request: a certificate, or why there is none."""

    node_id: str
    csr: bytes
    certificate: bytes
    failure: str

    def apply(self, tx: WriteTx) -> None:
        """Store it, unless the node asks for something else by now."""
        node = tx.nodes.copy(self.node_id)
        if node.certificate.csr != self.csr or node.certificate.status.state not in _TO_SIGN:
            return
        if not self.failure:
            node.certificate.certificate = self.certificate
        node.certificate.status.state = _State.FAILED if self.failure else _State.ISSUED
        node.certificate.status.err = self.failure
        tx.nodes.update(node)

    def note(self, tx: WriteTx) -> None:
        """Say why it waits, where that is to be seen: in the node's own status."""
        node = tx.nodes.copy(self.node_id)
        if node.certificate.csr == self.csr and node.certificate.status.err != self.failure:
            node.certificate.status.err = self.failure
            tx.nodes.update(node)


def to_sign(node: api.Node) -> bool:
    """An accepted node's request waits; a renewal was accepted once already."""
    state = node.certificate.status.state
    accepted = node.spec.membership == api.NodeSpec.Membership.ACCEPTED
    return state == _State.RENEW or (state == _State.PENDING and accepted)


def is_final(node: api.Node) -> bool:
    return node.certificate.status.state in _FINAL


class Signer:
    """Signs while it runs; tells who waits for a node's certificate when it is there."""

    def __init__(
        self, store: Store, clock: Clock, random: Random, external: External = lambda _: None
    ) -> None:
        self._store = store
        self._external = external
        self._clock = clock
        self._random = random
        self._root = api.RootCA()
        self._signer: RootSigner | None = None
        self._waiters: dict[str, set[asyncio.Future[api.Node]]] = {}
        self.running = False

    async def run(self) -> None:
        """Sign what waits and what comes, until cancelled."""
        self.running = True
        backoff = Backoff(0.2, 10.0, self._random)
        try:
            while True:
                try:
                    await self._follow(backoff)
                except WatchOverflowError:
                    continue
                except SwarmError as error:
                    delay = backoff.next()
                    log.warning("cannot sign", extra=fields(error=error, retry_in=delay))
                    await self._clock.sleep(delay)
        finally:
            self.running = False
            self._give_up()

    async def wait_final(self, node_id: str) -> api.Node:
        """The node, once its certificate is issued or refused; raises NotFoundError when it is
        removed, UnavailableError when this manager signs no more.
        """
        node = self._store.view().nodes.get(node_id)
        if node is None:
            raise NotFoundError("node", node_id)
        if is_final(node):
            return node
        if not self.running:
            raise UnavailableError("this manager does not sign certificates now")
        waiter: asyncio.Future[api.Node] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(node_id, set())
        waiters.add(waiter)
        try:
            return await waiter
        finally:
            waiters.discard(waiter)
            if not waiters and self._waiters.get(node_id) is waiters:
                del self._waiters[node_id]

    async def _follow(self, backoff: Backoff) -> None:
        async with self._store.watch(Select(api.Node, where=self._concerns)) as watcher:
            view = self._store.view()
            for node_id in list(self._waiters):
                self._wake(node_id, view.nodes.get(node_id))
            await self._sign([node for node in view.nodes.find() if to_sign(node)])
            while True:
                await self._take(await watcher.next())
                backoff.reset()

    def _concerns(self, event: Change[api.Node]) -> bool:
        return to_sign(event.object) or event.object.id in self._waiters

    async def _take(self, events: Iterable[Event]) -> None:
        changed: dict[str, api.Node | None] = {}
        for event in events:
            if isinstance(event, Committed):
                continue
            changed[event.object.id] = None if isinstance(event, Deleted) else event.object
        for node_id, node in changed.items():
            self._wake(node_id, node)
        await self._sign([node for node in changed.values() if node is not None and to_sign(node)])

    async def _sign(self, nodes: list[api.Node]) -> None:
        if not nodes:
            return
        view = self._store.view()
        (cluster,) = view.clusters.find(by.name(defaults.CLUSTER_NAME))
        external = await asyncio.to_thread(self._external, cluster)
        if external is not None:
            signed = await self._sign_outside(external, cluster, nodes)
        else:
            signer, now = self._signer_of(cluster), self._clock.now()
            expiry = expiry_seconds(cluster)
            signed = await asyncio.to_thread(
                lambda: [sign(signer, node, cluster.id, expiry, now) for node in nodes]
            )
        await self._commit(signed)

    async def _sign_outside(
        self, external: ExternalCA, cluster: api.Cluster, nodes: list[api.Node]
    ) -> list[Signed]:
        """Raises ExternalCAError where nobody answers; each node that waits says so then."""
        try:
            return await asyncio.to_thread(
                lambda: [sign_outside(external, node, cluster) for node in nodes]
            )
        except ExternalCAError as error:
            notes = [Signed(one.id, one.certificate.csr, b"", str(error)) for one in nodes]
            await self._store.batch([one.note for one in notes])
            raise

    async def _commit(self, signed: list[Signed]) -> None:
        outcomes = await self._store.batch([one.apply for one in signed])
        for one, outcome in zip(signed, outcomes, strict=True):
            self._tell(one, outcome)

    def _tell(self, one: Signed, outcome: SwarmError | None) -> None:
        if isinstance(outcome, NotFoundError):
            return  # removed meanwhile
        if isinstance(outcome, SwarmError):
            raise outcome
        if one.failure:
            why = fields(node=one.node_id, why=one.failure)
            log.warning("refused to sign a certificate", extra=why)
        else:
            log.info("issued a certificate", extra=fields(node=one.node_id))

    def _signer_of(self, cluster: api.Cluster) -> RootSigner:
        if self._signer is None or self._root != cluster.root_ca:
            try:
                self._signer, self._root = signer_of(cluster.root_ca), cluster.root_ca
            except BadCertificateError as error:
                text = f"the cluster's root CA in the store cannot sign: {error}"
                raise CorruptStateError(text) from error
        return self._signer

    def _wake(self, node_id: str, node: api.Node | None) -> None:
        for waiter in self._waiters.get(node_id, ()):
            if waiter.done():
                continue
            if node is None:
                waiter.set_exception(NotFoundError("node", node_id))
            elif is_final(node):
                waiter.set_result(node)

    def _give_up(self) -> None:
        for waiter in (waiter for waiters in self._waiters.values() for waiter in waiters):
            if not waiter.done():
                waiter.set_exception(UnavailableError("this manager signs no more certificates"))


def expiry_seconds(cluster: api.Cluster) -> float:
    """How long a certificate lasts that is issued now."""
    if not cluster.spec.ca_config.HasField("node_cert_expiry"):
        return DEFAULT_EXPIRY_SECONDS
    return times.seconds(cluster.spec.ca_config.node_cert_expiry)


def sign_outside(external: ExternalCA, node: api.Node, cluster: api.Cluster) -> Signed:
    """The same from an external CA, whose certificate is held against what was asked for."""
    request = node.certificate
    identity = _identity(node, cluster.id)
    try:
        chain = parse_chain(pem := external.sign(request.csr, identity))
        check_chain(chain, parse_chain(external.roots_pem))
        shown = identity_of(chain[0])
    except BadCertificateError as error:
        return Signed(node.id, request.csr, b"", str(error))
    failure = "" if shown == identity else "the external CA certified another node than this one"
    return Signed(node.id, request.csr, b"" if failure else pem, failure)


def _identity(node: api.Node, cluster_id: str) -> Identity:
    request = node.certificate
    return Identity(request.cn or node.id, _OU.get(request.role, WORKER), cluster_id)


def sign(signer: RootSigner, node: api.Node, cluster_id: str, expiry: float, now: float) -> Signed:
    """The outcome of a node's request."""
    request = node.certificate
    identity = _identity(node, cluster_id)
    try:
        certificate = signer.sign(request.csr, identity, expiry, now)
    except BadCertificateError as error:
        return Signed(node.id, request.csr, b"", str(error))
    return Signed(node.id, request.csr, certificate, "")
