"""Manager.run: open the ports, serve, and lead while elected."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

from swarmd.clock import Clock
from swarmd.config import NodeConfig
from swarmd.ipc.messages import CertificateRenewed, UnlockKey, Up
from swarmd.logs import fields, get_logger
from swarmd.rpc.authorize import Authorizer
from swarmd.rpc.server import make_server
from swarmd.rpc.sockets import join_host_port
from swarmd.security import unlock_key
from swarmd.security.certificates import NodeCertificates
from swarmd.security.encryption import Sealer
from swarmd.security.identity import Identity
from swarmd.state_dir import StateDir
from swarmd.store import Store
from workers.manager.addresses import listens_everywhere, reachable_address
from workers.manager.autolock import Autolock
from workers.manager.ca.own_certificate import OwnCertificate
from workers.manager.ca.revocation import Revocation
from workers.manager.ca.server import is_removed
from workers.manager.components import leader_components
from workers.manager.leadership import Leadership
from workers.manager.listeners import Services
from workers.manager.observability import Observability
from workers.manager.quorum.part import Part
from workers.manager.wall_clock import WallClock

log = get_logger(__name__)


class Manager:
    """One manager of a cluster, over an open store."""

    def __init__(
        self,
        *,
        config: NodeConfig,
        store: Store,
        part: Part,
        identity: Identity,
        reseal: Callable[[Sealer], Awaitable[None]] | None,
        report: Callable[[Up], None],
        clock: Clock,
        random: Random,
    ) -> None:
        self._config = config
        self._store = store
        self._part = part
        self._identity = identity
        self._reseal = reseal
        self._report = report
        self._clock = clock
        self._random = random

    async def run(self, serving: Callable[[str], None]) -> None:
        """Serve, and lead while elected, until cancelled, or until it has to start anew.

        `serving` is called once the ports are open, with the address at which an agent of this
        host finds the remote one. Raises CannotBootError for a port or a socket that cannot be had.
        """
        state_dir = StateDir(self._config.state_dir)
        services = Services(
            self._store,
            self._clock,
            self._random,
            self._identity.node_id,
            partial(NodeCertificates.load, state_dir),
        )
        certificates = await asyncio.to_thread(NodeCertificates.load, state_dir)
        server = make_server(
            (*services.all, self._part.servicer, self._part.health),
            Authorizer(self._identity, partial(is_removed, self._store)),
            certificates=certificates,
            directory=state_dir.root / "run",
            clock=self._clock,
            random=self._random,
            leader=self._part.leader,
        )
        server.door = self._part.door
        server.listen_control(self._config.listen_control_api)
        port = server.listen_remote(self._config.listen_remote_api)
        address = reachable_address(self._config, port)
        services.status.reason = self._part.refusal
        services.status.address = self._part.address = address
        if listens_everywhere(self._config):
            services.dispatcher.reached_port = port
        services.dispatcher.attention.hear = server.hear
        leadership = Leadership(
            self._store,
            lambda: leader_components(
                self._store,
                self._clock,
                self._random,
                *services.leading,
                *self._part.components,
                csi_plugins=self._config.csi_plugin,
            ),
        )

        def renewed(certificates: NodeCertificates) -> None:
            server.use(certificates)
            self._part.use(certificates)
            self._report(CertificateRenewed())

        own = OwnCertificate(
            self._store,
            services.signer,
            certificates,
            state_dir,
            changed=renewed,
            leader=self._part.leader,
            clock=self._clock,
            random=self._random,
        )
        autolock = self._autolock(state_dir, own.expose)
        await autolock.settle()  # before an agent of ours reads the file for the first time
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(one.run())
                for one in (
                    server,
                    Revocation(self._store, server.open_calls.end_removed),
                    leadership,
                    autolock,
                    own,
                    services.dispatcher.attention,
                    Observability(self._config, self._store),
                    WallClock(self._clock),
                )
            ]
            log.info(
                "manager serves",
                extra=fields(control=self._config.listen_control_api, remote=address),
            )
            near = listens_everywhere(self._config)
            serving(join_host_port("127.0.0.1", port) if near else address)
            await self._part.run()
            for task in running:
                task.cancel()

    def _autolock(self, state_dir: StateDir, exposed: Callable[[], None]) -> Autolock:
        def changed(key: bytes) -> None:
            self._report(UnlockKey(unlock_key.show(key) if key else ""))

        return Autolock(
            self._store,
            state_dir.node_key,
            reseal=self._reseal,
            changed=changed,
            exposed=exposed,
            clock=self._clock,
            random=self._random,
        )
