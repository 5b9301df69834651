"""A worker's certificate: renewed before it runs out, and when its managers ask for it.

Sessions go on meanwhile: what is dialled from then on uses the new one. A manager's certificate is
its manager process's own affair.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from random import Random
from typing import Final

from grpc import aio

from swarmd import api
from swarmd.backoff import Backoff
from swarmd.clock import Clock, wait_event
from swarmd.errors import CannotBootError, FailedPreconditionError, SwarmError, UnavailableError
from swarmd.logs import fields, get_logger
from swarmd.security.certificates import BadCertificateError, NodeCertificates, new_request
from swarmd.security.identity import WORKER
from swarmd.security.root_ca import BACKDATE_SECONDS
from workers.agent.dialer import Dialer
from workers.agent.enrollment import NO_MANAGER, Request, issue, takes_managers, wait_issued
from workers.agent.remotes import BAD, Remote, Remotes

log = get_logger(__name__)

_EARLIEST: Final = 0.5  # of a certificate's life
_LATEST: Final = 0.8
_FIRST_RETRY_SECONDS: Final = 5.0
_LAST_RETRY_SECONDS: Final = 3600.0
_LONGEST_SLEEP_SECONDS: Final = 3600.0  # a host that was suspended finds out soon enough
_State = api.IssuanceStatus.State


def renewal_time(not_before: datetime, not_after: datetime, random: Random) -> float:
    """When to renew, as seconds since the epoch: at random, so that not all nodes come at once."""
    end = not_after.timestamp()
    # It says that it began earlier than it was made, for clocks that are behind.
    begin = min(not_before.timestamp() + BACKDATE_SECONDS, (not_before.timestamp() + end) / 2)
    return begin + (end - begin) * random.uniform(_EARLIEST, _LATEST)


class Renewal:
    """Keeps this node certified. `rejoin` gets it back in when its certificate ran out, if it can.

    `renewed` is called after the files changed; `current` gives the channel of the session.
    """

    def __init__(
        self,
        *,
        dialer: Dialer,
        remotes: Remotes,
        current: Callable[[], aio.Channel | None],
        rejoin: Callable[[], Awaitable[NodeCertificates]] | None,
        renewed: Callable[[], None],
        why_no_manager: Callable[[], str] = lambda: "",
        clock: Clock,
        random: Random,
    ) -> None:
        self._dialer = dialer
        self._remotes = remotes
        self._current = current
        self._rejoin = rejoin
        self._renewed = renewed
        self._why_no_manager = why_no_manager
        self._clock = clock
        self._random = random
        self._asked = asyncio.Event()
        self._told_root = b""
        self._rotate = False
        self._complained = False

    def hear(self, message: api.SessionMessage) -> None:
        """Take what a manager says of certificates."""
        if self._dialer.certificates.identity.role != WORKER:
            return
        if message.RootCA and message.RootCA != self._dialer.certificates.root_pem:
            self._told_root = message.RootCA
            self._asked.set()
        promoted = message.node.role == api.NodeRole.MANAGER and not self._complained
        if promoted or message.node.certificate.status.state == _State.ROTATE:
            self._rotate = True
            self._asked.set()

    async def run(self) -> None:
        """Renew when it is time, until cancelled; a manager's is the manager's own business."""
        backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, self._random)
        while True:
            await self._wait_due()
            try:
                await self._act()
                backoff.reset()
            except (SwarmError, OSError) as error:
                delay = backoff.next()
                extra = fields(reason=error, retry_seconds=round(delay))
                log.warning("the certificate is not renewed", extra=extra)
                await self._clock.sleep(delay)

    async def _wait_due(self) -> None:
        """Return when it is time, or when a manager asks; new files from elsewhere put it off."""
        shown, due = None, 0.0
        while not self._asked.is_set():
            if self._dialer.certificates.identity.role != WORKER:
                await wait_event(self._asked, self._clock, _LONGEST_SLEEP_SECONDS)
                continue
            if shown is not self._dialer.certificates:
                shown = self._dialer.certificates
                due = renewal_time(shown.not_before, shown.not_after, self._random)
            left = due - self._clock.now()
            if left <= 0:
                return
            await wait_event(self._asked, self._clock, min(left, _LONGEST_SLEEP_SECONDS))

    async def _act(self) -> None:
        """A new root alone needs no new certificate, where the present one is of it too."""
        self._asked.clear()
        rotate, self._rotate = self._rotate, False
        try:
            if rotate or not await self._adopt_root():
                await self._renew()
        except BaseException:
            self._rotate |= rotate
            self._asked.set()
            raise

    async def _adopt_root(self) -> bool:
        have = self._dialer.certificates
        try:
            await self._use(
                NodeCertificates.of(self._told_root, have.certificate_pem, have.key_pem)
            )
        except BadCertificateError:
            return False
        log.info("trusts a new root CA")
        return True

    async def _renew(self) -> None:
        if self._dialer.expired:
            await self._get_back_in()
            return
        csr, key = new_request()
        remote = self._remotes.select()
        try:
            async with self._connection(remote) as channel:
                node_id = await issue(channel, Request(csr, key))
                chain = await wait_issued(channel, node_id, csr, self._clock, self._random)
                made = self._put_together(chain, key)
                if made.identity.role != WORKER and (why := await self._why_not(channel)):
                    self._complain(why)
                    return
        except UnavailableError:
            self._remotes.observe_known(remote, BAD)  # so that the next try is another's
            raise
        except aio.UsageError as error:
            raise UnavailableError("the session that it went by has ended") from error
        await self._use(made)
        end = f"{self._dialer.certificates.not_after:%Y-%m-%d %H:%M} UTC"
        log.info("renewed the certificate", extra=fields(until=end))

    @contextlib.asynccontextmanager
    async def _connection(self, remote: Remote) -> AsyncIterator[aio.Channel]:
        """The session's, where there is one; who dialled it closes it.

        In a change of root it is the one that both trust already.
        """
        if (channel := self._current()) is not None:
            yield channel
            return
        async with self._dialer.dial(remote.addr) as channel:
            yield channel

    def _put_together(self, chain: bytes, key: bytes) -> NodeCertificates:
        """Under the root that managers tell of, or else under the one that was trusted before."""
        have = self._dialer.certificates
        try:
            made = NodeCertificates.of(self._told_root or have.root_pem, chain, key)
        except BadCertificateError:
            made = NodeCertificates.of(have.root_pem, chain, key)
        if made.identity.node_id != have.identity.node_id:
            raise FailedPreconditionError("the manager certified another node than this one")
        return made

    async def _why_not(self, channel: aio.Channel) -> str:
        """What keeps this node from being a manager there; empty where nothing does."""
        if not await takes_managers(channel):
            return NO_MANAGER
        return await asyncio.to_thread(self._why_no_manager)

    def _complain(self, why: str) -> None:
        """It was promoted in vain: the certificate that says so is of no use."""
        if not self._complained:
            self._complained = True
            log.warning("it was promoted, and stays a worker", extra=fields(reason=why))

    async def _get_back_in(self) -> None:
        if self._rejoin is None:
            raise UnavailableError(
                "it ran out: start this node with --join-addr and a valid --join-token"
            )
        try:
            await self._rejoin()
        except CannotBootError as error:
            raise UnavailableError(str(error)) from error
        await self._dialer.reload()
        self._renewed()

    async def _use(self, certificates: NodeCertificates) -> None:
        await self._dialer.save(certificates)
        self._renewed()
