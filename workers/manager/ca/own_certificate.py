"""This manager's own certificate: renewed in time, and when the cluster's root CA changes.

It asks the signer as any node does, by way of its node object. Sessions go on meanwhile: clients
that come from then on see the new one. The agent of this node reads the same files.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from grpc import aio

from swarmd import api
from swarmd.api import defaults
from swarmd.api.protos.ca_pb2_grpc import NodeCAStub
from swarmd.backoff import Backoff
from swarmd.clock import Clock, wait_event
from swarmd.errors import SwarmError, UnavailableError
from swarmd.logs import fields, get_logger
from swarmd.rpc.errors import from_rpc_error
from swarmd.rpc.forward import Leader
from swarmd.security.certificates import BadCertificateError, NodeCertificates, new_request
from swarmd.security.root_ca import BACKDATE_SECONDS
from swarmd.state_dir import StateDir
from swarmd.store import Select, Store, WatchOverflowError, by
from workers.manager.ca.requests import request_renewal
from workers.manager.ca.signer import Signer

log = get_logger(__name__)

_EARLIEST: Final = 0.5  # of a certificate's life
_LATEST: Final = 0.8
_FIRST_RETRY_SECONDS: Final = 5.0
_LAST_RETRY_SECONDS: Final = 3600.0
_ASK_SECONDS: Final = 30.0
_LONGEST_SLEEP_SECONDS: Final = 3600.0  # a host that was suspended finds out soon enough
_State = api.IssuanceStatus.State


class OwnCertificate:
    """`changed` is told each new set, once its files are in place."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        certificates: NodeCertificates,
        state_dir: StateDir,
        *,
        changed: Callable[[NodeCertificates], None],
        leader: Leader | None = None,
        clock: Clock,
        random: Random,
    ) -> None:
        self._store = store
        self._signer = signer
        self._certificates = certificates
        self._node_id = certificates.identity.node_id
        self._state_dir = state_dir
        self._changed = changed
        self._leader = leader
        self._clock = clock
        self._random = random
        self._look = asyncio.Event()
        self._exposed = False
        self._due = self._renewal_time()

    def expose(self) -> None:
        """The key lay on the disk in the clear, and should not have: have another soon."""
        self._exposed = True
        self._look.set()

    async def run(self) -> None:
        """Keep it good until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._keep())

    async def _keep(self) -> None:
        backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, self._random)
        while True:
            self._look.clear()
            try:
                await self._act()
                backoff.reset()
            except (SwarmError, OSError) as error:
                delay = backoff.next()
                why = fields(reason=error, retry_seconds=round(delay))
                log.warning("this manager's certificate is not renewed", extra=why)
                await self._clock.sleep(delay)
                continue
            left = max(0.0, self._due - self._clock.now())
            await wait_event(self._look, self._clock, min(left, _LONGEST_SLEEP_SECONDS))

    async def _follow(self) -> None:
        """Look again when the cluster, or this node, changes."""
        own = Select(api.Node, where=lambda event: event.object.id == self._node_id)
        while True:
            try:
                async with self._store.watch(own, Select(api.Cluster)) as watcher:
                    self._look.set()
                    async for _ in watcher:
                        self._look.set()
            except WatchOverflowError:
                continue

    async def _act(self) -> None:
        view = self._store.view()
        root = view.clusters.find(by.name(defaults.CLUSTER_NAME))[0].root_ca.ca_cert
        node = view.nodes.get(self._node_id)
        rotate = (
            node is not None
            and node.certificate.status.state == _State.ROTATE
            and node.role == api.NodeRole.MANAGER  # who is demoted starts again, as a worker
        )
        if rotate or self._exposed or self._clock.now() >= self._due:
            await self._renew(root)
        elif root != self._certificates.root_pem:
            await self._adopt(root)

    async def _adopt(self, root: bytes) -> None:
        """Where the certificate is of the new root too, it stays."""
        have = self._certificates
        try:
            await self._use(NodeCertificates.of(root, have.certificate_pem, have.key_pem))
        except BadCertificateError:
            await self._renew(root)
        else:
            log.info("trusts a new root CA")

    async def _renew(self, root: bytes) -> None:
        csr, key = new_request()
        issued = await self._ask(csr)
        if issued.csr != csr or issued.status.state != _State.ISSUED:
            reason = issued.status.err or "another request came between"
            raise UnavailableError(f"it was not issued: {reason}")
        await self._use(NodeCertificates.of(root, issued.certificate, key))
        self._exposed = False
        end = f"{self._certificates.not_after:%Y-%m-%d %H:%M} UTC"
        log.info("renewed this manager's certificate", extra=fields(until=end))

    async def _ask(self, csr: bytes) -> api.Certificate:
        """Of the signer here, or of the manager that leads."""
        if self._leader is None or self._leader.is_here:
            await self._store.update(lambda tx: request_renewal(tx, self._node_id, csr))
            return (await self._signer.wait_final(self._node_id)).certificate
        stub = NodeCAStub(await self._leader.channel())
        request = api.IssueNodeCertificateRequest(csr=csr)
        status = api.NodeCertificateStatusRequest(node_id=self._node_id)
        try:
            await stub.IssueNodeCertificate(request, timeout=_ASK_SECONDS)
            return (await stub.NodeCertificateStatus(status, timeout=_ASK_SECONDS)).certificate
        except aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    async def _use(self, certificates: NodeCertificates) -> None:
        await asyncio.to_thread(certificates.save, self._state_dir)
        self._certificates = certificates
        self._due = self._renewal_time()
        self._changed(certificates)

    def _renewal_time(self) -> float:
        """At random, so that not all managers come at once."""
        begin, end = (
            moment.timestamp()
            for moment in (self._certificates.not_before, self._certificates.not_after)
        )
        # It says that it began earlier than it was made, for clocks that are behind.
        begin = min(begin + BACKDATE_SECONDS, (begin + end) / 2)
        return begin + (end - begin) * self._random.uniform(_EARLIEST, _LATEST)
