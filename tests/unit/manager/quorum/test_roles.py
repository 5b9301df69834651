"""A node's role follows its spec, and no vote is taken away that the others need."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from swarmd import api
from swarmd.errors import UnavailableError
from swarmd.quorum_file import FORCED, QuorumFile
from swarmd.state_dir import StateDir
from swarmd.store import MemoryBackend, Store
from swarmd.store.backend import AlwaysHeld
from tests import builders
from tests.fakes.clock import FakeClock
from tests.stored import add, edit
from workers.manager.quorum.addresses import AddressBook
from workers.manager.quorum.forced import Forced
from workers.manager.quorum.members import KeepMembers, Member
from workers.manager.quorum.roles import RoleManager

MANAGER, WORKER = api.NodeRole.MANAGER, api.NodeRole.WORKER


class Members:
    """A quorum's members; `asked` is awaited before they are told, `fails` are so many calls."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.fails = 0
        self.asked: Callable[[], Any] = asyncio.Event().set

    async def members(self) -> dict[str, Member]:
        if self.fails:
            self.fails -= 1
            raise UnavailableError("etcd is away")
        if found := self.asked():
            await found
        return {name: Member(name, number, False) for number, name in enumerate(self.names)}

    async def remove(self, member: Member) -> None:
        self.names.remove(member.node_id)

    async def give_away_raft(self, others: object) -> None:
        pass


class NoKeys:
    """The managers share no data key that would matter here."""

    record = None

    async def held(self) -> dict[int, frozenset[str]]:
        return {}


class Lease(AlwaysHeld):
    given = False

    def give_away(self) -> None:
        self.given = True


def manager(name: str, *, up: bool = True, **fields: Any) -> api.Node:
    node = builders.node(name, role=MANAGER, id=name, **fields)
    reach = api.RaftMemberStatus.Reachability
    node.manager_status.reachability = reach.REACHABLE if up else reach.UNREACHABLE
    return node


@asynccontextmanager
async def led_by_a(*nodes: api.Node) -> AsyncIterator[tuple[Store, FakeClock, Members, Lease]]:
    clock, backend, lease = FakeClock(), MemoryBackend(), Lease()
    backend.lease = lease
    async with Store(backend, clock) as store:
        await add(store, *nodes)
        members = Members(*(one.id for one in nodes if one.role == MANAGER))
        running = asyncio.create_task(RoleManager(store, members, "a", clock).run())
        await settle()
        yield store, clock, members, lease
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def want(store: Store, name: str, role: api.NodeRole.ValueType) -> None:
    def wanted(node: api.Node) -> None:
        node.spec.desired_role = role

    await edit(store, store.view().nodes.get(name), wanted)
    await settle()


def role(store: Store, name: str) -> api.NodeRole.ValueType:
    node = store.view().nodes.get(name)
    assert node is not None
    return node.role


async def test_who_is_demoted_leaves_the_quorum_and_is_a_worker():
    async with led_by_a(manager("a"), manager("b"), manager("c")) as (store, _, members, _):
        await want(store, "b", WORKER)
        assert (["a", "c"], WORKER) == (members.names, role(store, "b"))
        assert not store.view().nodes.get("b").HasField("manager_status")


async def test_what_failed_is_tried_again_though_nothing_else_happens():
    async with led_by_a(manager("a"), manager("b"), manager("c")) as (store, clock, members, _):
        members.fails = 1
        await want(store, "b", WORKER)
        assert MANAGER == role(store, "b")
        clock.advance(seconds=5)
        await settle()
        assert WORKER == role(store, "b")


async def test_who_is_promoted_again_while_the_members_are_asked_for_stays():
    async with led_by_a(manager("a"), manager("b"), manager("c")) as (store, _, members, _):
        asked = asyncio.Event()
        members.asked = asked.wait
        await want(store, "b", WORKER)
        await want(store, "b", MANAGER)
        asked.set()
        await settle()
        assert (["a", "b", "c"], MANAGER) == (members.names, role(store, "b"))


async def test_a_leader_that_is_demoted_leads_on_while_the_others_are_away():
    nodes = manager("a"), manager("b", up=False), manager("c", up=False)
    async with led_by_a(*nodes) as (store, clock, _, lease):
        await want(store, "a", WORKER)
        assert not lease.given
        for name in ("b", "c"):
            back = manager(name).manager_status
            node = store.view().nodes.get(name)
            await edit(store, node, lambda one, back=back: one.manager_status.CopyFrom(back))
        clock.advance(seconds=5)
        await settle()
        assert lease.given


async def test_no_vote_goes_that_the_others_need():
    nodes = manager("a"), manager("b"), manager("c", up=False)
    async with led_by_a(*nodes) as (store, _, members, _):
        await want(store, "b", WORKER)
        assert (["a", "b", "c"], MANAGER) == (members.names, role(store, "b"))


@pytest.mark.parametrize(("names", "given"), [(("a", "b"), True), (("a",), False)])
async def test_a_leader_whose_role_was_taken_by_force_gives_the_lead_away_to_another(names, given):
    own = manager("a")
    own.role = own.spec.desired_role = WORKER
    async with led_by_a(own, manager("b")) as (store, clock, members, lease):
        members.names = list(names)
        keeping = asyncio.create_task(KeepMembers(store, members, NoKeys(), "a", clock).run())
        await settle()
        assert given == lease.given
        keeping.cancel()


async def test_who_goes_on_alone_is_a_manager_whatever_was_asked_of_it(tmp_path: Path):
    state_dir = StateDir(tmp_path)
    state_dir.etcd.mkdir()
    QuorumFile(node_id="a", members={"a": "h:1"}, start=FORCED).save(state_dir.quorum)
    own = manager("a")
    own.spec.desired_role = WORKER
    async with Store(MemoryBackend(), FakeClock()) as store, store.lead():
        await add(store, own, manager("b"))
        await Forced(store, AddressBook(state_dir), "a").run()
        found = {one.id: (one.role, one.spec.desired_role) for one in store.view().nodes.find()}
    assert {"a": (MANAGER, MANAGER), "b": (WORKER, WORKER)} == found
