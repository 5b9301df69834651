"""One of three real members is left, and is forced to go on alone: what it has, it keeps."""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.api.protos import raftpb_pb2 as raftpb
from swarmd.errors import UnavailableError
from swarmd.store.etcd import EtcdClient, wal
from tests.etcd import Member, Quorum
from workers.etcd import unheard

pytestmark = pytest.mark.timeout(120)
WRITES = 20


@asynccontextmanager
async def client_of(member: Member) -> AsyncIterator[EtcdClient]:
    client = EtcdClient(member.socket)
    try:
        yield client
    finally:
        await client.close()


async def write(client: EtcdClient, key: bytes) -> None:
    """Acknowledged, once this returns."""
    put = etcd.RequestOp(request_put=etcd.PutRequest(key=key, value=b"v"))
    await client.txn(etcd.TxnRequest(success=[put]), 30)


async def keys_of(member: Member) -> list[bytes]:
    async with client_of(member) as client:
        answer = await client.page(b"k", b"k", 0, 1000)
    return [one.key for one in answer.kvs]


async def pair_left(quorum: Quorum) -> tuple[Member, Member]:
    """Who leads, and who has to acknowledge everything with it: the third is gone."""
    first, second, third = quorum.members
    third.kill()
    async with client_of(first) as client:
        while not await has_quorum(client):  # noqa: ASYNC110  etcd tells nobody
            await asyncio.sleep(0.05)
        status = await client.call(client.maintenance.Status, etcd.StatusRequest())
    leads = status.leader == status.header.member_id
    return (first, second) if leads else (second, first)


async def has_quorum(client: EtcdClient) -> bool:
    """Not while another one is being elected."""
    with contextlib.suppress(UnavailableError):
        await client.get(b"any")
        return True
    return False


async def lose_all_but(survivor: Member, leader: Member) -> list[bytes]:
    """Write, and kill both as soon as the last write is acknowledged; the keys that are."""
    keys = [b"k%03d" % number for number in range(WRITES)]
    async with client_of(leader) as client:
        for key in keys:
            await write(client, key)
        for member in (survivor, leader):
            member.signal(signal.SIGKILL)
    for member in (survivor, leader):
        member.kill()
    return keys


async def test_all_that_was_acknowledged_is_there_which_etcd_alone_would_have_dropped(
    quorum: Quorum, tmp_path: Path
) -> None:
    leader, survivor = await pair_left(quorum)
    keys = await lose_all_but(survivor, leader)
    shutil.copytree(survivor.directory / "data", tmp_path / "data")
    survivor.start("--force-new-cluster")
    dropped = set(keys) - set(await keys_of(survivor))
    survivor.kill()
    shutil.rmtree(survivor.directory / "data")
    shutil.copytree(tmp_path / "data", survivor.directory / "data")

    unheard.commit_all(unheard.read(survivor.log))
    survivor.start("--force-new-cluster")
    assert keys == await keys_of(survivor)
    assert {keys[-1]} <= dropped  # or this test shows nothing
    async with client_of(survivor) as client:
        members = await client.call(client.cluster.MemberList, etcd.MemberListRequest())
        await write(client, b"k999")
    assert [survivor.name] == [one.name for one in members.members]
    survivor.kill()
    survivor.start()  # from here on as any other
    assert [*keys, b"k999"] == await keys_of(survivor)


async def test_who_was_about_to_be_removed_stays(alone: Member) -> None:
    async with client_of(alone) as client:
        await write(client, b"k000")
    alone.kill()
    log = unheard.read(alone.log)
    change = raftpb.ConfChange(id=0, type=raftpb.ConfChangeRemoveNode, node_id=log.owner)
    entry = raftpb.Entry(
        Type=raftpb.EntryConfChange,
        Term=log.state.term,
        Index=log.last + 1,
        Data=change.SerializeToString(),
    )
    wal.append(log.end, [(wal.ENTRY, entry.SerializeToString())])
    unheard.commit_all(unheard.read(alone.log))
    alone.start("--force-new-cluster")
    assert [b"k000"] == await keys_of(alone)


async def test_who_only_learned_has_a_vote(alone: Member, etcd_root: Path) -> None:
    learner = Member(etcd_root, "m1", [alone.name, "m1"])
    (alone.directory / "m1:0").symlink_to(learner.directory / "m1:0")
    try:
        async with client_of(alone) as client:
            request = etcd.MemberAddRequest(peerURLs=["unix://m1:0"], isLearner=True)
            await client.call(client.cluster.MemberAdd, request, 30)
            learner.start("--initial-cluster-state", "existing")
            await write(client, b"k000")
            while await lag(learner, client):  # noqa: ASYNC110  etcd tells nobody
                await asyncio.sleep(0.05)
        alone.kill()
        learner.kill()
        unheard.commit_all(unheard.read(learner.log))
        learner.start("--force-new-cluster")
        async with client_of(learner) as client:
            await write(client, b"k001")
        assert [b"k000", b"k001"] == await keys_of(learner)
    finally:
        learner.kill()


async def lag(member: Member, leader: EtcdClient) -> int:
    """By how many entries the one is behind the other."""
    async with client_of(member) as own:
        have = await own.call(own.maintenance.Status, etcd.StatusRequest(), 30)
    there = await leader.call(leader.maintenance.Status, etcd.StatusRequest())
    return int(there.raftIndex - have.raftAppliedIndex)
