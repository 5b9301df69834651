"""While there is no quorum: tell other managers where this one is, and take nothing else.

The remote port is open all the same: what the etcd workers of the managers say to each other comes
by it, and without that there would never be a quorum.
"""

import asyncio
from random import Random
from types import TracebackType
from typing import Final, Self

from swarmd.clock import Clock
from swarmd.config import NodeConfig
from swarmd.errors import SwarmError, UnavailableError
from swarmd.logs import fields, get_logger
from swarmd.rpc.authorize import Authorizer
from swarmd.rpc.hand_over import DOOR
from swarmd.rpc.server import make_server
from swarmd.security.certificates import NodeCertificates
from swarmd.state_dir import StateDir
from swarmd.store.etcd import EtcdClient
from workers.manager.addresses import reachable_address
from workers.manager.health import HealthServicer
from workers.manager.quorum.absent import Absent
from workers.manager.quorum.addresses import AddressBook, MeetOthers
from workers.manager.quorum.joining import check_standing
from workers.manager.quorum.server import QuorumServicer

log = get_logger(__name__)
_PAUSE_SECONDS: Final = 0.2  # on top of the call itself, which waits for seconds
_STANDING_SECONDS: Final = (1.0, 2.0)


class Waiting:
    """Serves the little that can be served, for as long as the block lasts."""

    def __init__(self, config: NodeConfig, book: AddressBook, clock: Clock, random: Random) -> None:
        self._config = config
        self._book = book
        self._clock = clock
        self._random = random
        self._state_dir = StateDir(config.state_dir)
        self._further = (config.join_addr,) if config.join_addr else ()
        self._absent = Absent(book, self._certificates, clock)
        self._group = asyncio.TaskGroup()
        self.address = ""
        """Where others find this manager."""

    async def __aenter__(self) -> Self:
        certificates = await asyncio.to_thread(NodeCertificates.load, self._state_dir)
        server = make_server(
            [QuorumServicer(self._book), HealthServicer()],
            Authorizer(certificates.identity),
            certificates=certificates,
            directory=self._state_dir.root / "run",
            clock=self._clock,
            random=self._random,
            closed=lambda: UnavailableError(self._absent.sentence()),
        )
        server.door = self._state_dir.etcd / DOOR
        server.listen_control(self._config.listen_control_api)
        port = server.listen_remote(self._config.listen_remote_api)
        self.address = reachable_address(self._config, port)
        await self._group.__aenter__()
        self._serving = self._group.create_task(server.run())
        self._looking = self._group.create_task(self._absent.run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._serving.cancel()
        self._looking.cancel()
        if isinstance(error, SwarmError):  # to be caught as itself, not as one of a group
            await self._group.__aexit__(None, None, None)
        else:
            await self._group.__aexit__(kind, error, traceback)

    async def quorum(self, client: EtcdClient) -> None:
        """Return once etcd answers for all of the cluster.

        Raises DemotedError, NoMemberError or CannotBootError where the others say so meanwhile.
        """
        ways = [asyncio.create_task(self._answers(client))]
        if not self._config.force_new_cluster:  # which goes on without the others
            ways += [asyncio.create_task(one) for one in (self._standing(), self._meet().run())]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            for task in ways:
                task.cancel()

    async def _answers(self, client: EtcdClient) -> None:
        while True:
            try:
                await client.get(b"any")
            except SwarmError as error:
                log.info("no quorum yet", extra=fields(reason=error))
                await self._clock.sleep(_PAUSE_SECONDS)
            else:
                return

    async def _standing(self) -> None:
        """Ask the others, again and again, whether this manager is still one of them."""
        while True:
            members = await check_standing(self._others(), self.address, self._state_dir)
            if members:  # an etcd that never ran before does not begin with any other ones
                await self._book.follow(members)
            await self._clock.sleep(self._random.uniform(*_STANDING_SECONDS))

    def _certificates(self) -> NodeCertificates:
        return NodeCertificates.load(self._state_dir)

    def _others(self) -> list[str]:
        own = self._certificates().identity.node_id
        known = [addr for name, addr in self._book.members.items() if name != own and addr]
        return list(dict.fromkeys([*known, *self._further]))

    def _meet(self) -> MeetOthers:
        return MeetOthers(
            self._book,
            self.address,
            self._certificates,
            further=self._further,
            clock=self._clock,
            random=self._random,
        )
