"""This manager's part among the managers: alone, or one of a quorum.

`part.py` is what the rest of the manager knows of all this: whom to ask when it does not lead, what
to serve, what to run always, and what to run while it leads.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final, Protocol

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import CannotBootError, FailedPreconditionError, SwarmError, UnavailableError
from swarmd.etcd_program import find_etcd
from swarmd.ipc.messages import Up
from swarmd.logs import fields, get_logger
from swarmd.rpc.hand_over import DOOR
from swarmd.security import data_key
from swarmd.security.certificates import NodeCertificates
from swarmd.state_dir import StateDir
from swarmd.store import Store
from swarmd.store.etcd import EtcdClient, EtcdLease
from swarmd.store.etcd.shared_keys import SharedKeys
from workers.manager.health import RAFT, HealthServicer
from workers.manager.quorum.addresses import AddressBook, KeepAddresses
from workers.manager.quorum.data_keys import HoldKeys, ReplaceKey, by_id
from workers.manager.quorum.forced import Forced
from workers.manager.quorum.joining import DismissedError, announce, check_standing
from workers.manager.quorum.leader import LeaderElsewhere
from workers.manager.quorum.members import KeepMembers, Membership
from workers.manager.quorum.moving import Moving
from workers.manager.quorum.roles import RoleManager
from workers.manager.quorum.server import Joins, QuorumServicer
from workers.manager.quorum.upkeep import Upkeep

log = get_logger(__name__)
_SQLITE: Final = "sqlite"
_ETCD: Final = "etcd"
_LOOK_SECONDS: Final = 1.0
_ELECTION_SECONDS: Final = 3.0  # without a leader of etcd's, before it counts as away


class Component(Protocol):
    async def run(self) -> None: ...


class Part(ABC):
    """Either of the two below; `address` is set before `run`."""

    address: str = ""
    leader: LeaderElsewhere | None = None
    door: Path | None = None
    components: Sequence[Component] = ()
    servicer: QuorumServicer
    health: HealthServicer
    settled: bool = True
    """The store stays where it is, for now; else `run` moves it, and no work is taken before."""

    @abstractmethod
    async def run(self) -> None:
        """What every manager does; returns when this one has to start again."""

    @abstractmethod
    def refusal(self) -> str:
        """Why there can be no other manager; empty where there can."""

    @abstractmethod
    def use(self, certificates: NodeCertificates) -> None:
        """Show these to other managers from now on."""


class Alone(Part):
    """It keeps the store itself, until another manager asks to join."""

    def __init__(
        self,
        store: Store,
        state_dir: StateDir,
        kept: str,
        report: Callable[[Up], None],
        *,
        node_id: str,
        clock: Clock,
        random: Random,
    ) -> None:
        self._store = store
        self._state_dir = state_dir
        self._kept = kept
        self.settled = kept != _ETCD
        self._report = report
        self._node_id = node_id
        self._clock = clock
        self._wanted = asyncio.Event()
        self._failure = ""
        self._backoff = Backoff(1.0, 30.0, random)
        self.health = HealthServicer()
        self.components = (RoleManager(store, None, node_id, clock),)
        book = AddressBook(state_dir)
        self.servicer = QuorumServicer(book, Joins(store, book, self._share, self._tell))

    async def run(self) -> None:
        """Move the store once it is wanted; what fails is tried again a while later, if wanted."""
        if self._kept == _ETCD:
            self._wanted.set()
        while True:
            await self._wanted.wait()
            moving = Moving(self._store, self._state_dir, self._report, clock=self._clock)
            try:
                await moving.move(self._node_id, self.address)
            except (SwarmError, OSError) as error:
                self._failure, delay = str(error), self._backoff.next()
                why = fields(error=error, retry_in=delay)
                log.warning("the store could not move: it stays where it was", extra=why)
                if self._kept != _ETCD:
                    self._wanted.clear()
                await self._clock.sleep(delay)
            else:
                return

    def refusal(self) -> str:
        if self._kept == _SQLITE:
            return "this cluster's store is one manager's own (--store sqlite)"
        try:
            find_etcd()
        except CannotBootError as error:
            return f"on the manager's host, {error}"
        return ""

    def use(self, certificates: NodeCertificates) -> None:
        pass

    async def _tell(self, member: int, keys: Sequence[bytes]) -> None:
        raise AssertionError("there is no member while this manager is alone")

    async def _share(self) -> tuple[Membership, Sequence[bytes]]:
        if reason := await asyncio.to_thread(self.refusal):
            raise FailedPreconditionError(reason)
        self._wanted.set()
        if self._failure:
            message = f"the store could not move to where managers share it yet ({self._failure})"
            raise UnavailableError(f"{message}: try again")
        raise UnavailableError("the store moves to where managers share it: try again")


class OneOfSeveral(Part):
    """It keeps the store together with others, in etcd."""

    def __init__(
        self,
        store: Store,
        state_dir: StateDir,
        client: EtcdClient,
        lease: EtcdLease,
        book: AddressBook,
        *,
        keys: SharedKeys,
        certificates: NodeCertificates,
        quota: int,
        clock: Clock,
        random: Random,
    ) -> None:
        self.door = state_dir.etcd / DOOR
        self._elsewhere = self.leader = LeaderElsewhere(lease, store, book, certificates, clock)
        self._store = store
        self._state_dir = state_dir
        self._clock = clock
        self._random = random
        self._client = client
        self._upkeep = Upkeep(store, client, quota, clock, random)
        self._membership = Membership(client, lease, clock)
        self._book = book
        self.servicer = QuorumServicer(book, Joins(store, book, self._share, self._tell))
        self.health = HealthServicer()
        self._keys = keys
        own_id = certificates.identity.node_id
        self.components = (
            Forced(store, book, own_id),
            RoleManager(store, self._membership, own_id, clock),
            KeepMembers(store, self._membership, keys, own_id, clock),
            ReplaceKey(store, keys, self._membership, state_dir.node_key, clock),
        )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            addresses = KeepAddresses(self._store, self._book, self._membership, self._clock)
            keys = HoldKeys(
                self._store,
                self._keys,
                self._client,
                self._state_dir.node_key,
                fetch=self._fetch,
                clock=self._clock,
            )
            kept = (addresses, self._upkeep, self._elsewhere, keys)
            tasks = [group.create_task(one.run()) for one in kept]
            tasks.append(group.create_task(self._announce()))
            await self._while_member()
            for task in tasks:
                task.cancel()

    def refusal(self) -> str:
        return ""

    def use(self, certificates: NodeCertificates) -> None:
        self._elsewhere.certificates = certificates

    async def _while_member(self) -> None:
        """Return once others say that this manager is not one of them: its next start sees to it.

        They are asked only while the etcd of this host knows no leader.
        """
        until = self._clock.monotonic() + _ELECTION_SECONDS
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            if await self._has_quorum():
                until = self._clock.monotonic() + _ELECTION_SECONDS
                self.health.set(RAFT, serving=True)
                continue
            log.warning("this manager has no quorum now")
            self.health.set(RAFT, serving=self._clock.monotonic() < until)
            own = self._elsewhere.certificates.identity.node_id
            others = [at for name, at in self._book.members.items() if name != own and at]
            try:
                await check_standing(others, self.address, self._state_dir)
            except DismissedError as error:
                log.warning("this manager starts again", extra=fields(reason=error))
                return

    async def _has_quorum(self) -> bool:
        client = self._client
        try:
            request = etcd.StatusRequest()
            status = await client.call(client.maintenance.Status, request, seconds=_LOOK_SECONDS)
        except SwarmError:
            return False
        return bool(status.leader)

    async def _announce(self) -> None:
        """The others find this manager here, though it may have been elsewhere before."""
        backoff = Backoff(0.2, 5.0, self._random)
        while True:
            try:
                await announce(await self._elsewhere.channel(), self.address)
            except SwarmError as error:
                delay = backoff.next()
                log.info("cannot say yet where I am", extra=fields(error=error, retry_in=delay))
                await self._clock.sleep(delay)
            else:
                return

    async def _fetch(self) -> Sequence[bytes]:
        return await announce(await self._elsewhere.channel(), self.address)

    async def _share(self) -> tuple[Membership, Sequence[bytes]]:
        keys = await asyncio.to_thread(data_key.open_data_keys, self._state_dir.node_key)
        return self._membership, keys.all

    async def _tell(self, member: int, keys: Sequence[bytes]) -> None:
        await self._keys.say_held(member, list(by_id(keys)))
