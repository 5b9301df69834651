"""The lead, and how it ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from swarmd.errors import UnavailableError
from swarmd.store import Store
from swarmd.store.etcd import EtcdClient
from swarmd.store.etcd.lease import WILL
from tests.cluster import wait
from tests.etcd import Member, Quorum
from tests.integration.etcd.conftest import store_on
from tests.integration.etcd.test_backend import create, lease_of, names
from workers.etcd.will import Wills

# ruff: noqa: SIM117  one manager's block lies in the other's
pytestmark = pytest.mark.timeout(120)
_LONG = 60  # seconds of a lease: far longer than the test


@contextlib.asynccontextmanager
async def wills_at(member: Member) -> AsyncIterator[Wills]:
    client = EtcdClient(member.socket)
    wills = Wills(member.directory / WILL, client)
    running = asyncio.create_task(wills.run())
    try:
        await asyncio.to_thread(wait, (member.directory / WILL).exists, "its socket")
        yield wills
    finally:
        running.cancel()
        await asyncio.wait([running])
        await client.close()


async def test_the_end_of_a_manager_s_connection_ends_its_lead(quorum: Quorum):
    member = quorum.members[0]
    async with wills_at(member), store_on(member, _LONG) as one, store_on(quorum.members[1]) as two:
        async with one.lead():
            await one.update(create("a"))
            _, will = await asyncio.open_unix_connection(member.directory / WILL)
            will.write(b"%d\n" % await lease_of(one))
            await will.drain()
            will.close()  # as the kernel does for a process that was killed
            async with asyncio.timeout(20), two.lead():
                assert ["a"] == names(two)


async def test_a_leader_says_its_will_again_to_who_takes_it_next(quorum: Quorum):
    member, said = quorum.members[0], asyncio.Queue[bytes]()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.put_nowait(await reader.readline())
        writer.close()  # as the kernel does for an etcd worker that was killed

    server = await asyncio.start_unix_server(take, member.directory / WILL)
    async with server, asyncio.timeout(20), store_on(member) as store, store.lead():
        lease = await lease_of(store)
        assert [lease, lease] == [int(await said.get()) for _ in range(2)]


async def test_a_leader_s_etcd_waits_for_it_to_give_the_lead_back(quorum: Quorum):
    member = quorum.members[0]
    async with wills_at(member) as wills, store_on(member, _LONG) as store:
        async with store.lead():
            await asyncio.to_thread(wait, lambda: wills._open, "its will")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await wills.wait_none()
        async with asyncio.timeout(20):
            await wills.wait_none()


async def test_who_leads_is_known_to_all_as_soon_as_it_changes(quorum: Quorum):
    async with store_on(quorum.members[0]) as one, store_on(quorum.members[1]) as two:
        async with one.lead():
            campaign = asyncio.create_task(lead_until_cancelled(two))
            async with asyncio.timeout(20):
                await two.lease.wait_changed()  # type: ignore[attr-defined]
            assert "m0" == two.lease.leader  # type: ignore[attr-defined]
        async with asyncio.timeout(20):
            while two.lease.leader != "m1":  # type: ignore[attr-defined]
                await two.lease.wait_changed()  # type: ignore[attr-defined]
        campaign.cancel()
        await asyncio.wait([campaign])


async def lead_until_cancelled(store: Store) -> None:
    async with store.lead():
        await asyncio.get_running_loop().create_future()


async def test_a_lease_whose_time_is_over_is_not_held_whatever_else_happens(quorum: Quorum):
    async with store_on(quorum.members[0]) as store:
        async with store.lead():
            assert store.lease.held
            keeper = store.lease._keeper  # type: ignore[attr-defined]
            keeper.stop()
            keeper._until = 0.0  # as the clock has it after a long stop, before any task has run
            assert not store.lease.held


async def test_a_lead_that_was_won_without_an_answer_is_one(quorum: Quorum):
    async with store_on(quorum.members[0], _LONG) as store:
        client = store._backend._client  # type: ignore[attr-defined]
        txn, lost = client.txn, []

        async def lossy(request, seconds):
            answer = await txn(request, seconds)
            if not lost:
                lost.append(answer)
                raise UnavailableError("lost on its way back")
            return answer

        client.txn = lossy
        async with asyncio.timeout(20), store.lead():
            assert lost[0].succeeded
            await store.update(create("a"))
