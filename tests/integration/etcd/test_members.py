"""Who is a member of a real etcd: one learner at a time, and none for ever."""

import pytest

from swarmd.errors import NotLeaderError, UnavailableError
from swarmd.store import AlwaysHeld
from swarmd.store.etcd import EtcdClient
from tests.etcd import Member
from tests.fakes.clock import FakeClock
from tests.unit.store.backends import LosableLease
from workers.manager.quorum.members import Membership

pytestmark = pytest.mark.timeout(120)


async def test_who_does_not_get_on_gives_way_to_the_next(alone: Member) -> None:
    client, clock = EtcdClient(alone.socket), FakeClock()
    await client.get(b"any", 30)
    membership = Membership(client, AlwaysHeld(), clock)
    await membership.add("x")
    for _ in range(2):
        with pytest.raises(UnavailableError, match="manager x is still joining: try again"):
            await membership.add("y")
        clock.advance(seconds=500)
    found = await membership.add("y")
    assert {"y"} == {one.node_id for one in found.values() if one.learns}
    found = await membership.add("z", away={"y"})
    assert {"z"} == {one.node_id for one in found.values() if one.learns}
    await client.close()


async def test_a_manager_that_does_not_lead_any_more_changes_nothing(alone: Member) -> None:
    client, lease = EtcdClient(alone.socket), LosableLease()
    await client.get(b"any", 30)
    membership = Membership(client, lease, FakeClock())
    before = await membership.add("x")
    lease.ours = False
    for change in (
        membership.add("x"),
        membership.promote(before["x"]),
        membership.remove(before["x"]),
    ):
        with pytest.raises(NotLeaderError):
            await change
    assert before == await membership.members()
    await client.close()
