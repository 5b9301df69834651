"""A store of several managers, on a real quorum."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import pytest

from swarmd import api
from swarmd.errors import NotLeaderError, SwarmError, UnavailableError
from swarmd.store import Committed, Created, Deleted, Select, Store, Updated, WriteTx
from tests.etcd import Quorum
from tests.integration.etcd.conftest import store_on

# ruff: noqa: SIM117  one manager's block lies in the other's
pytestmark = pytest.mark.timeout(120)


def create(name: str, payload: bytes = b""):
    def change(tx: WriteTx) -> api.Config:
        spec = api.ConfigSpec(annotations=api.Annotations(name=name), data=payload)
        return tx.configs.create(api.Config(id=f"id-{name}", spec=spec))

    return change


def relabel(name: str, value: str):
    def change(tx: WriteTx) -> api.Config:
        config = tx.configs.copy(f"id-{name}")
        config.spec.annotations.labels["v"] = value
        return tx.configs.update(config)

    return change


def remove(name: str):
    return lambda tx: tx.configs.delete(f"id-{name}")


async def wait_for(store: Store, version: int) -> None:
    async with asyncio.timeout(20), store.watch(Select(Committed, frozenset())) as watcher:
        while store.version < version:
            await watcher.next()


@contextlib.asynccontextmanager
async def following(store: Store) -> AsyncIterator[None]:
    """It would lead, and follows as long as another does."""

    async def campaign() -> None:
        async with store.lead():
            await asyncio.Event().wait()

    task = asyncio.create_task(campaign())
    yield
    task.cancel()
    await asyncio.wait([task])


async def test_what_the_leader_commits_its_followers_see_in_order(quorum: Quorum):
    async with store_on(quorum.members[0]) as one, store_on(quorum.members[1]) as two:
        async with one.lead():
            async with following(two), two.watch(Select(api.Config)) as watcher:
                await one.update(create("a"))
                await one.update(relabel("a", "1"))
                await one.update(remove("a"))
                seen: list[type] = []
                async with asyncio.timeout(20):
                    while Deleted not in seen:
                        seen += [type(event) for event in await watcher.next()]
            kinds = [kind for kind in seen if kind in {Created, Updated, Deleted}]
            assert [Created, Updated, Deleted] == kinds
            assert one.version == two.version


async def test_a_follower_writes_nothing(quorum: Quorum):
    async with store_on(quorum.members[0]) as one, store_on(quorum.members[1]) as two:
        async with one.lead():
            with pytest.raises(NotLeaderError):
                await two.update(create("a"))


async def test_a_new_leader_has_all_that_was_acknowledged(quorum: Quorum):
    async with store_on(quorum.members[0]) as one, store_on(quorum.members[1]) as two:
        async with one.lead():
            await one.batch([create(f"n{number}") for number in range(500)])
        async with two.lead():
            assert 500 == len(two.view().configs)
            await two.update(create("after"))
        async with store_on(quorum.members[2]) as three:
            assert 501 == len(three.view().configs)


async def test_a_deposed_leader_that_wakes_writes_nothing(quorum: Quorum):
    async with store_on(quorum.members[0]) as one, store_on(quorum.members[1]) as two:
        async with one.lead():
            await one.update(create("before"))
            # As after a long stop: it still takes itself for the leader, while another leads.
            revoke = one._backend._client.revoke  # type: ignore[attr-defined]
            await revoke(await lease_of(one))
            async with two.lead():
                await two.update(create("theirs"))
                with pytest.raises(UnavailableError, match="leads no more"):
                    await one.update(create("mine"))
                assert one.lease.lost.is_set()
                assert ["before", "theirs"] == names(two)


async def lease_of(store: Store) -> int:
    found, _ = await store._backend._client.get(b"leader")  # type: ignore[attr-defined]
    assert found is not None
    return found.lease


def names(store: Store) -> list[str]:
    return sorted(one.spec.annotations.name for one in store.view().configs.find())


async def test_writes_wait_while_etcd_chooses_a_leader(quorum: Quorum):
    async with store_on(quorum.members[0], seconds=10) as store, store.lead():
        for member in quorum.members[1:]:
            member.signal(signal.SIGSTOP)
        writing = asyncio.create_task(store.update(create("a")))
        done, _ = await asyncio.wait([writing], timeout=1.5)
        assert not done
        for member in quorum.members[1:]:
            member.signal(signal.SIGCONT)
        await asyncio.wait_for(writing, 20)
        assert ["a"] == names(store)


async def test_an_answer_that_was_lost_is_no_second_write(quorum: Quorum):
    async with store_on(quorum.members[0]) as store, store.lead():
        client = store._backend._client  # type: ignore[attr-defined]
        txn, lost = client.txn, []

        async def lossy(request, seconds):
            answer = await txn(request, seconds)
            if not lost:
                lost.append(answer)
                raise UnavailableError("the answer was lost")
            return answer

        client.txn = lossy
        config = await store.update(create("a"))
        await store.update(relabel("a", "1"))
        assert (1, 2) == (config.meta.version.index, store.version)


async def test_a_write_that_got_lost_is_sent_again_long_before_the_lease_is_over(quorum: Quorum):
    async with store_on(quorum.members[0], seconds=60) as store, store.lead():
        client = store._backend._client  # type: ignore[attr-defined]
        txn, lost = client.txn, []

        async def dropped(request, seconds):
            if not lost:  # as by a member whose lead of the raft goes to another: no word of it
                lost.append(request)
                await asyncio.sleep(seconds)
                raise UnavailableError("Deadline Exceeded")
            return await txn(request, seconds)

        client.txn = dropped
        async with asyncio.timeout(20):
            await store.update(create("a"))
        assert ["a"] == names(store)


async def test_a_leader_that_is_cut_off_stops_before_another_leads(quorum: Quorum):
    async with store_on(quorum.members[0]) as one, store_on(quorum.members[1]) as two:
        async with one.lead():
            quorum.members[0].signal(signal.SIGSTOP)
            async with asyncio.timeout(30), two.lead():
                assert not one.lease.held
            quorum.members[0].signal(signal.SIGCONT)


async def test_a_follower_that_missed_what_was_compacted_reads_everything_again(quorum: Quorum):
    async with store_on(quorum.members[0]) as one, store_on(quorum.members[1]) as two:
        async with one.lead():
            await one.batch([create("a"), create("b")])
            await one.update(remove("a"))
            _, revision = await one._backend._client.get(b"leader")  # type: ignore[attr-defined]
            await one._backend._client.compact(revision)  # type: ignore[attr-defined]
            async with following(two):
                await wait_for(two, one.version)
            assert ["b"] == names(two)


async def test_what_lies_in_etcd_is_sealed(quorum: Quorum):
    async with store_on(quorum.members[0]) as store, store.lead():
        await store.update(create("a", b"the-secret-payload"))
    data = b"".join(
        path.read_bytes() for path in quorum.members[0].directory.rglob("*") if path.is_file()
    )
    assert b"the-secret-payload" not in data
    assert b"store/objects/config/id-a" in data


async def test_all_members_killed_keep_what_was_acknowledged(quorum: Quorum):
    async with store_on(quorum.members[0]) as store, store.lead():
        acknowledged = []
        writing = asyncio.create_task(write_on(store, acknowledged))
        await wait_for(store, 50)
        quorum.kill()
        writing.cancel()
    for member in quorum.members:
        member.start()
    await quorum.ready()
    async with store_on(quorum.members[2]) as store:
        assert set() == set(acknowledged) - set(names(store))


async def write_on(store: Store, acknowledged: list[str]) -> None:
    number = 0
    while True:
        try:
            await store.update(create(f"n{number}"))
        except SwarmError:
            return
        acknowledged.append(f"n{number}")
        number += 1
