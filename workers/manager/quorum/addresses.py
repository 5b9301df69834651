"""Where each manager is found: in the store, and in quorum.json, which needs no quorum to be read.

A manager's own word on its address counts, and it says it to all others when it starts. So one
whose address changed is found again without a quorum, and all of them as long as one of the old
addresses, or of --join-addr, still leads to a manager.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Final

import grpc
from grpc import aio

from swarmd import api
from swarmd.api.protos.quorum_pb2 import MeetRequest
from swarmd.api.protos.quorum_pb2_grpc import QuorumStub
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.quorum_file import QuorumFile, change
from swarmd.rpc.channel import dial_manager
from swarmd.security.certificates import NodeCertificates
from swarmd.state_dir import StateDir
from swarmd.store import Store, by
from workers.manager.quorum.members import Membership

log = get_logger(__name__)
_MEET_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.5


class AddressBook:
    """quorum.json, as this process has it; None on a manager that keeps the store alone."""

    def __init__(self, state_dir: StateDir) -> None:
        self._path = state_dir.quorum
        self.file = QuorumFile.load(self._path)
        self._writing = asyncio.Lock()

    @property
    def members(self) -> Mapping[str, str]:
        """Addresses by node id."""
        return self.file.members if self.file is not None else {}

    async def reload(self) -> None:
        """Read the file again: somebody else wrote it."""
        self.file = await asyncio.to_thread(QuorumFile.load, self._path)

    async def learn(self, found: Mapping[str, str]) -> None:
        """These members are there now; who is no member is none of ours."""

        def learnt(file: QuorumFile) -> QuorumFile:
            known = {name: addr for name, addr in found.items() if name in file.members and addr}
            return replace(file, members={**file.members, **known})

        await self._change(learnt)

    async def follow(self, members: Mapping[str, str]) -> None:
        """Exactly these are the members; an address that is empty stays what it was."""

        def following(file: QuorumFile) -> QuorumFile:
            known = file.members
            at = {name: addr or known.get(name, "") for name, addr in members.items()}
            return replace(file, members=at)

        await self._change(following)

    async def whole(self) -> None:
        """The store is whole: from here on it is started as any other."""
        await self._change(QuorumFile.started)

    async def _change(self, how: Callable[[QuorumFile], QuorumFile]) -> None:
        async with self._writing:
            self.file = await asyncio.to_thread(change, self._path, how)


class KeepAddresses:
    """On every manager of a quorum: what the store and etcd say of members comes into the file."""

    def __init__(
        self, store: Store, book: AddressBook, membership: Membership, clock: Clock
    ) -> None:
        self._store = store
        self._book = book
        self._membership = membership
        self._clock = clock

    async def run(self) -> None:
        """etcd tells nobody that its members changed, so this looks again and again."""
        while True:
            await self._look()
            await self._clock.sleep(_LOOK_SECONDS)

    async def _look(self) -> None:
        found = self._store.view().nodes.find(by.role(api.NodeRole.MANAGER))
        addresses = {node.id: node.manager_status.addr for node in found}
        try:
            members = await self._membership.members()
        except SwarmError as error:
            log.info("cannot ask who is in the quorum", extra=fields(error=error))
            return
        await self._book.follow({name: addresses.get(name, "") for name in members})


class MeetOthers:
    """Says to every other manager where this one is, until each one has heard it."""

    def __init__(
        self,
        book: AddressBook,
        own_address: str,
        certificates: Callable[[], NodeCertificates],
        *,
        further: tuple[str, ...],
        clock: Clock,
        random: Random,
    ) -> None:
        self._book = book
        self._own_address = own_address
        self._certificates = certificates
        self._further = further
        self._clock = clock
        self._random = random

    async def run(self) -> None:
        own_id = self._certificates().identity.node_id
        heard: set[str] = set()
        while True:
            others = {addr for name, addr in self._book.members.items() if name != own_id and addr}
            wanted = sorted((others | set(self._further)) - heard)
            certificates = self._certificates()
            answers = await asyncio.gather(
                *(meet(address, self._own_address, certificates) for address in wanted)
            )
            heard |= {at for at, told in zip(wanted, answers, strict=True) if told is not None}
            # Hearsay is for who does not answer where it was: the others said it themselves.
            known = {name for name, addr in self._book.members.items() if addr in heard}
            told = {name: addr for one in answers if one for name, addr in one.items()}
            fresh = {name: addr for name, addr in told.items() if name not in known}
            await self._book.learn({**fresh, own_id: self._own_address})
            await self._clock.sleep(self._random.uniform(0.5, 1.0))


async def meet(
    address: str, own_address: str, certificates: NodeCertificates
) -> Mapping[str, str] | None:
    """What the manager there knows of all, once told where we are; None where nobody answers."""
    channel = dial_manager(address, certificates)
    try:
        request = MeetRequest(addr=own_address)
        answer = await QuorumStub(channel).Meet(request, timeout=_MEET_SECONDS)
    except (aio.AioRpcError, grpc.RpcError) as error:
        log.debug("a manager does not answer", extra=fields(at=address, error=error))
        return None
    finally:
        await channel.close(None)
    return dict(answer.members)
