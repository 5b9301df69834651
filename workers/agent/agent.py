"""Session after session with whichever manager answers, for ever.

A lost session is taken up again quickly: a manager that crashed is back on the same address within
a second or so, and finds its nodes waiting. Only then the delays grow, up to eight seconds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Final

from grpc import aio

from swarmd import api
from swarmd.api import said
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import (
    NoHttp2Error,
    NotFoundError,
    PermissionDeniedError,
    SwarmError,
    UnauthenticatedError,
    UnavailableError,
)
from swarmd.logs import fields, get_logger
from workers.agent import peers_file
from workers.agent.log_publisher import LogPublisher
from workers.agent.remotes import BAD, GOOD, Remote, Remotes
from workers.agent.reporter import Reporter
from workers.agent.session import Session, first_error
from workers.agent.task_set import TaskSet

log = get_logger(__name__)

_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 8.0
_QUICK_RETRIES: Final = 20  # three seconds' worth
_QUICK_RETRY_SECONDS: Final = 0.2
_FIRST_REFUSED_SECONDS: Final = 1.0
_LAST_REFUSED_SECONDS: Final = 60.0
_FIRST_DESCRIBE_SECONDS: Final = 0.5
_DESCRIBE_SECONDS: Final = 20.0


class DescriptionChangedError(SwarmError):
    """Not a failure: the manager is to hear of it in a new registration."""


class Agent:
    """This node as its managers see it. `run` never ends by itself."""

    def __init__(
        self,
        *,
        dial: Callable[[str], AbstractAsyncContextManager[aio.Channel]],
        describe: Callable[[], Awaitable[api.NodeDescription]],
        configure: Callable[[api.Node], Awaitable[None]],
        hear: Callable[[api.SessionMessage], None],
        tasks: TaskSet,
        reporter: Reporter,
        remotes: Remotes,
        peers: Path,
        clock: Clock,
        random: Random,
    ) -> None:
        self._dial = dial
        self._describe = describe
        self._configure = configure
        self._hear = hear
        self._tasks = tasks
        self._reporter = reporter
        self._remotes = remotes
        self._peers = peers
        self._told_peers: list[Remote] = []
        self._new_peers = asyncio.Event()
        self._clock = clock
        self._random = random
        self._backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, random)
        self._quick = Backoff(_QUICK_RETRY_SECONDS, _QUICK_RETRY_SECONDS, random)
        self._quick_retries = _QUICK_RETRIES
        self._refused = Backoff(_FIRST_REFUSED_SECONDS, _LAST_REFUSED_SECONDS, random)
        self._complaint = ""
        self._session_id = ""
        self._node = api.Node()
        self._new_node = asyncio.Event()
        self._registered = asyncio.Event()
        self.manager = ""
        """The address of the manager that this node has a session with; empty without one."""
        self.channel: aio.Channel | None = None
        """The session's own, while there is one."""

    async def wait_registered(self) -> None:
        """Return once a manager has taken this node's first registration."""
        await self._registered.wait()

    async def run(self) -> None:
        """Keep a session with some manager, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._configure_engines())
            group.create_task(self._save_peers())
            while True:
                if not self._remotes.weights:
                    log.info("no manager is known yet")
                    await self._remotes.wait_some()
                remote = self._remotes.select()
                try:
                    await _apart(self._keep_sessions(remote))
                except SwarmError as error:
                    await self._clock.sleep(self._delay_after(error, remote))

    async def _keep_sessions(self, remote: Remote) -> None:
        """Sessions over one connection, until an error ends it.

        Who only has something new to say of itself says it by the connection that there is.
        """
        async with self._dial(remote.addr) as channel:
            while True:
                try:
                    await self._keep_session(channel, remote)
                except DescriptionChangedError:
                    log.info("this node changed: registering again")

    async def _keep_session(self, channel: aio.Channel, remote: Remote) -> None:
        """One session from registration to its end, which is always an error."""
        description = await self._describe()
        session = Session(channel, self._clock)
        logs = LogPublisher(channel, self._tasks, self._clock, self._random)
        first = await session.register(description, self._session_id)
        self._begin(session, remote)
        self.channel = channel
        self._take_message(first)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(logs.run())
                group.create_task(self._watch_description(description))
                group.create_task(
                    session.run(
                        self._take_message,
                        self._tasks.take,
                        self._reporter,
                        self._tasks.volumes.reports,
                    )
                )
        except BaseExceptionGroup as failures:
            raise first_error(failures) from None
        finally:
            session.close()
            self.manager, self.channel = "", None

    def _begin(self, session: Session, remote: Remote) -> None:
        log.info("registered", extra=fields(manager=remote.addr, session=session.id))
        self._session_id = session.id
        self._remotes.observe_known(remote, GOOD)
        self._backoff.reset()
        self._refused.reset()
        self._quick_retries = _QUICK_RETRIES
        self._complaint = ""
        self.manager = remote.addr
        self._registered.set()

    def _delay_after(self, error: SwarmError, remote: Remote) -> float:
        """Say what happened, and how long to wait."""
        self._remotes.observe_known(remote, BAD)
        quick = self._quick_retries > 0 and isinstance(error, UnavailableError)
        refused = isinstance(error, NotFoundError | PermissionDeniedError | UnauthenticatedError)
        if quick:
            self._quick_retries -= 1
        # One that was removed from the swarm may ask for days until somebody looks after it.
        backoff = self._quick if quick else self._refused if refused else self._backoff
        delay = backoff.next()
        # These say the same again and again: once is enough.
        again = (quick or refused) and _event(error) == self._complaint
        level = logging.DEBUG if again else logging.WARNING
        self._complaint = _event(error)
        extra = fields(manager=remote.addr, reason=error, retry_seconds=round(delay, 2))
        log.log(level, self._complaint, extra=extra)
        return delay

    async def _watch_description(self, told: api.NodeDescription) -> None:
        """Soon after the start, as engines may still come up, then now and then."""
        delay = _FIRST_DESCRIBE_SECONDS
        while True:
            await self._clock.sleep(delay)
            delay = min(2 * delay, _DESCRIBE_SECONDS)
            if told != await self._describe():
                raise DescriptionChangedError

    def _take_message(self, message: api.SessionMessage) -> None:
        """Learn of managers and of this node. Network keys are for overlay networks only."""
        if message.managers:
            self._take_managers(message)
        self._hear(message)
        if message.HasField("node") and not said.is_same(message.node, self._node):
            self._node = message.node
            self._new_node.set()

    def _take_managers(self, message: api.SessionMessage) -> None:
        told = {
            Remote(each.peer.node_id, each.peer.addr): each.weight
            for each in message.managers
            if each.peer.addr
        }
        for remote, weight in told.items():
            self._remotes.observe(remote, weight)
        self._remotes.keep(told)
        if sorted(told) != self._told_peers:
            self._told_peers = sorted(told)
            self._new_peers.set()

    async def _save_peers(self) -> None:
        while True:
            await self._new_peers.wait()
            self._new_peers.clear()
            try:
                await asyncio.to_thread(peers_file.save, self._peers, self._told_peers)
            except OSError as error:
                log.warning("managers are not saved", extra=fields(file=self._peers, reason=error))

    async def _configure_engines(self) -> None:
        while True:
            await self._new_node.wait()
            self._new_node.clear()
            await self._configure(self._node)


async def _apart(coroutine: Coroutine[None, None, None]) -> None:
    """Await it in a task of its own.

    A TaskGroup that fails while it is cancelled raises the failure alone. Here our cancellation
    still ends us.
    """
    task = asyncio.get_running_loop().create_task(coroutine)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)  # how it ended is nobody's business now
        raise
    task.result()


def _event(error: SwarmError) -> str:
    """What happened, for the log; the reason says the rest."""
    sentence = str(error).lower()
    if isinstance(error, NotFoundError):
        return "the manager does not know this node: was it removed? `swarmd leave` cleans up"
    if isinstance(error, PermissionDeniedError) and "removed" in sentence:
        return "this node was removed from the swarm: `swarmd leave` cleans up"
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return "the manager does not accept this node's certificate"
    if isinstance(error, NoHttp2Error):
        return "the manager's TLS does not offer HTTP/2: going on without its offer"
    if "certificate" in sentence or "handshake" in sentence or "ssl" in sentence:
        return "the manager and this node do not trust each other's certificates"
    return "no session with the manager"
