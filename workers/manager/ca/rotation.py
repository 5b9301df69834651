"""A change of root CA, carried through node by node.

The users' API writes the following root beside the present one, with an intermediate: the following
root's key, signed by the present root. From then on the signer signs with the new key, and sends
the intermediate along, so that those who trust only the old root accept new certificates too.

    each 3 s: nodes whose certificate is of the old root, and who do not ask already, get ROTATE
    when none is left: the following root becomes the root, in one transaction, with new join tokens

A node says in its description who certified it. All there is to know is in the store: a manager
that is killed anywhere goes on from there.
"""

from collections.abc import Callable, Collection, Iterable
from random import Random
from typing import Final

from swarmd import api
from swarmd.api import defaults
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.security import join_tokens
from swarmd.security.certificates import issuer_of, parse_chain
from swarmd.security.root_ca import digest
from swarmd.store import Select, Store, WatchOverflowError, WriteTx, by

log = get_logger(__name__)

PERIOD_SECONDS: Final = 3.0
BATCH: Final = 30
PATIENCE_SECONDS: Final = 60.0  # agents look whether they changed every 20 s
_State = api.IssuanceStatus.State
_ASKS: Final = frozenset({_State.PENDING, _State.RENEW, _State.ROTATE})


def nodes_behind(nodes: Iterable[api.Node], root_pem: bytes) -> list[api.Node]:
    """Those whose certificate is not, as far as they said, of this root (pure)."""
    wanted = issuer_of(parse_chain(root_pem)[0])
    return [node for node in nodes if _issuer(node) != wanted]


def to_mark(behind: Iterable[api.Node], hopeful: Collection[str]) -> list[str]:
    """The next of them to be asked for a renewal, without those who have just got one (pure)."""
    waits = {node.id for node in behind if node.certificate.status.state not in _ASKS}
    return sorted(waits.difference(hopeful))[:BATCH]


def just_issued(behind: Iterable[api.Node], root: api.RootCA) -> set[str]:
    """Those whose newest certificate is of the following root; they did not say so yet (pure)."""
    intermediate = root.root_rotation.cross_signed_ca_cert
    return {node.id for node in behind if intermediate in node.certificate.certificate}


def finished(root: api.RootCA, random: Random) -> api.RootCA:
    """What follows once all nodes moved: new tokens, as the old ones name the old root (pure)."""
    following = root.root_rotation
    known_by = digest(following.ca_cert)
    return api.RootCA(
        ca_cert=following.ca_cert,
        ca_key=following.ca_key,
        ca_cert_hash=known_by,
        join_tokens=api.JoinTokens(
            worker=join_tokens.mint(known_by, random),
            manager=join_tokens.mint(known_by, random),
        ),
        last_forced_rotation=root.last_forced_rotation,
    )


class RootRotation:
    """The leader's part: watches the cluster, and works while a rotation is under way."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._left = -1
        self._issued_at: dict[str, float] = {}

    async def run(self) -> None:
        """Carry rotations through until cancelled."""
        backoff = Backoff(1.0, 30.0, self._random)
        while True:
            try:
                await self._rest()
                await self._step()
                backoff.reset()
            except WatchOverflowError:
                continue
            except SwarmError as error:
                delay = backoff.next()
                log.warning("the root CA's change waits", extra=fields(reason=error))
                await self._clock.sleep(delay)

    async def _rest(self) -> None:
        """Return when a rotation is under way."""
        async with self._store.watch(Select(api.Cluster)) as watcher:
            while not self._root().HasField("root_rotation"):
                self._left = -1
                self._issued_at.clear()
                await watcher.next()

    async def _step(self) -> None:
        root = self._root()
        behind = nodes_behind(self._store.view().nodes.find(), root.root_rotation.ca_cert)
        if not behind:
            await self._store.update(lambda tx: self._finish(tx, root))
            log.info("the root CA has changed", extra=fields(digest=self._root().ca_cert_hash))
            return
        if len(behind) != self._left:
            self._left = len(behind)
            log.info("the root CA changes", extra=fields(nodes_left=len(behind)))
        marked = to_mark(behind, self._hopeful(just_issued(behind, root)))
        await self._store.batch([_mark(node_id) for node_id in marked])
        await self._clock.sleep(PERIOD_SECONDS)

    def _hopeful(self, issued: set[str]) -> set[str]:
        """Those who got it so lately that they are expected to say so soon."""
        now = self._clock.monotonic()
        self._issued_at = {one: self._issued_at.get(one, now) for one in issued}
        return {one for one, since in self._issued_at.items() if now - since < PATIENCE_SECONDS}

    def _finish(self, tx: WriteTx, seen: api.RootCA) -> None:
        """Unless another rotation took its place meanwhile."""
        cluster = tx.clusters.copy(tx.clusters.find(by.name(defaults.CLUSTER_NAME))[0].id)
        if cluster.root_ca == seen:
            cluster.root_ca.CopyFrom(finished(seen, self._random))
            tx.clusters.update(cluster)

    def _root(self) -> api.RootCA:
        found = self._store.view().clusters.find(by.name(defaults.CLUSTER_NAME))
        return found[0].root_ca if found else api.RootCA()


def _issuer(node: api.Node) -> tuple[bytes, bytes]:
    said = node.description.tls_info
    return said.cert_issuer_subject, said.cert_issuer_public_key


def _mark(node_id: str) -> Callable[[WriteTx], None]:
    def change(tx: WriteTx) -> None:
        node = tx.nodes.copy(node_id)
        if node.certificate.status.state not in _ASKS:
            node.certificate.status.state = _State.ROTATE
            tx.nodes.update(node)

    return change
