"""etcd's members, which are nodes: who is one, and what the leader does about it.

A member's only peer URL is unix://<node id>:0. One joins as a learner, which has no vote and so
does no harm where it fails; it becomes a voter once it has everything.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from swarmd import api
from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.clock import Clock
from swarmd.errors import FailedPreconditionError, NotLeaderError, SwarmError, UnavailableError
from swarmd.logs import fields, get_logger
from swarmd.store import Lease, Store, by
from swarmd.store.etcd import EtcdClient
from swarmd.store.etcd.shared_keys import SharedKeys
from workers.manager.addresses import takes_connections

log = get_logger(__name__)
_LOOK_SECONDS: Final = 0.5
_SETTLED_SECONDS: Final = 3.0
_PATIENCE_SECONDS: Final = 900.0  # with another one that joins: a large store takes its time
_PREFIX: Final = "unix://"
_SUFFIX: Final = ":0"


@dataclass(frozen=True, slots=True)
class Member:
    """One of etcd's members: the node, etcd's own number for it, and whether it only learns."""

    node_id: str
    number: int
    learns: bool


def peer_url(node_id: str) -> str:
    return f"{_PREFIX}{node_id}{_SUFFIX}"


class Membership:
    """What the leader asks of its etcd; each call raises UnavailableError without a quorum.

    etcd does not fence these calls as it does a write. So each change looks at the lease as the
    last thing before: one decided on before a long pause raises NotLeaderError.
    """

    def __init__(self, client: EtcdClient, lease: Lease, clock: Clock) -> None:
        self._client = client
        self._lease = lease
        self._clock = clock
        self._waited_for = (0, 0.0)  # which learner, and since when another one waits for it

    async def members(self) -> Mapping[str, Member]:
        """By node id."""
        answer = await self._client.call(self._client.cluster.MemberList, etcd.MemberListRequest())
        found = [_member(one) for one in answer.members]
        return {one.node_id: one for one in found}

    async def add(self, node_id: str, away: Collection[str] = ()) -> Mapping[str, Member]:
        """Make that node a learner that knows nothing yet; every member then.

        etcd has one learner at a time: one that is `away`, or does not get on for long, gives way,
        and joins again. Raises UnavailableError while another one learns.
        """
        members = await self.members()
        for learner in [one for one in members.values() if one.learns and one.node_id != node_id]:
            waited = self._waits_for(learner)
            if learner.node_id not in away and waited < _PATIENCE_SECONDS:
                raise UnavailableError(
                    f"manager {learner.node_id} is still joining: try again (if it does not get on:"
                    f" `swarmctl node demote {learner.node_id}`)"
                )
            log.warning(
                "a manager that joins does not get on: another one goes first",
                extra=fields(node=learner.node_id, waited=round(waited)),
            )
            await self.remove(learner)
        if node_id in members:  # with the log that etcd counts on gone, it is another member
            await self.remove(members[node_id])
        self._check_leads()
        request = etcd.MemberAddRequest(peerURLs=[peer_url(node_id)], isLearner=True)
        answer = await self._client.call(self._client.cluster.MemberAdd, request)
        log.info("a manager joins the quorum", extra=fields(node=node_id))
        return {one.node_id: one for one in map(_member, answer.members)}

    def _waits_for(self, learner: Member) -> float:
        """For so many seconds by now."""
        now = self._clock.monotonic()
        if self._waited_for[0] != learner.number:
            self._waited_for = learner.number, now
        return now - self._waited_for[1]

    async def promote(self, member: Member) -> bool:
        """Give a learner its vote; False while it lacks something."""
        self._check_leads()
        request = etcd.MemberPromoteRequest(ID=member.number)
        try:
            await self._client.call(self._client.cluster.MemberPromote, request)
        except SwarmError as error:
            log.debug("a manager still learns", extra=fields(node=member.node_id, error=error))
            return False
        log.info("a manager has its vote", extra=fields(node=member.node_id))
        return True

    async def remove(self, member: Member) -> None:
        self._check_leads()
        request = etcd.MemberRemoveRequest(ID=member.number)
        await self._client.call(self._client.cluster.MemberRemove, request)
        log.info("a manager left the quorum", extra=fields(node=member.node_id))

    def _check_leads(self) -> None:
        if not self._lease.held:
            raise NotLeaderError

    async def give_away_raft(self, others: Collection[str]) -> None:
        """Have one of these lead the raft, if this host's member does.

        Where one host has both leaderships, its loss costs two elections, one after the other. But
        nothing is written while a member that does not answer is waited for to take it.
        """
        status = await self._client.call(self._client.maintenance.Status, etcd.StatusRequest())
        if status.leader != status.header.member_id:
            return
        voters = [one for one in (await self.members()).values() if not one.learns]
        other = next((one for one in voters if one.node_id in others), None)
        if other is not None:
            request = etcd.MoveLeaderRequest(targetID=other.number)
            await self._client.call(self._client.maintenance.MoveLeader, request)


def check_removable(members: Mapping[str, Member], node_id: str, reachable: set[str]) -> None:
    """Raises FailedPreconditionError where those that stay would have no quorum."""
    voters = {one.node_id for one in members.values() if not one.learns}
    if node_id not in voters:
        return
    left = voters - {node_id}
    if not left:
        raise FailedPreconditionError("attempting to demote the last manager of the swarm")
    alive = len(left & reachable)
    if alive <= len(left) // 2:
        raise FailedPreconditionError(
            f"of the {len(left)} managers that would be left only {alive} can be reached, which is "
            "no quorum: bring another one back first"
        )


class KeepMembers:
    """The leader's component: learners get their vote, and who is no manager any more goes."""

    def __init__(
        self,
        store: Store,
        membership: Membership,
        keys: SharedKeys,
        own_id: str,
        clock: Clock,
    ) -> None:
        self._keys = keys
        self._store = store
        self._membership = membership
        self._own_id = own_id
        self._clock = clock

    async def run(self) -> None:
        settled = self._clock.monotonic() + _SETTLED_SECONDS
        while True:
            try:
                await self._look()
                if self._clock.monotonic() > settled:  # by then it is known who can be reached
                    await self._membership.give_away_raft(self._others())
            except SwarmError as error:
                log.warning("cannot look after the quorum now", extra=fields(error=error))
            await self._clock.sleep(_LOOK_SECONDS)

    def _others(self) -> set[str]:
        up = api.RaftMemberStatus.Reachability.REACHABLE
        nodes = self._store.view().nodes.find(by.role(api.NodeRole.MANAGER))
        return {
            node.id
            for node in nodes
            if node.manager_status.reachability == up and node.id != self._own_id
        }

    async def _look(self) -> None:
        members = await self._membership.members()
        managers = {
            node.id for node in self._store.view().nodes.find(by.role(api.NodeRole.MANAGER))
        }
        if self._own_id not in managers and len(members) > 1:
            self._store.lease.give_away()  # demoted by force: its successor takes it out
            return
        for member in members.values():
            if member.node_id not in managers and member.node_id != self._own_id:
                await self._membership.remove(member)
            elif member.learns and await self._is_here(member.node_id):
                await self._take_in(member)

    async def _take_in(self, member: Member) -> None:
        """Give it its vote, if it was given every key that something in the store may be under."""
        record, held = self._keys.record, (await self._keys.held()).get(member.number)
        if record is None or (held is not None and record.used <= held):
            await self._membership.promote(member)
        elif held is not None:
            log.warning(
                "a data key came after it: it joins again", extra=fields(node=member.node_id)
            )
            await self._membership.remove(member)

    async def _is_here(self, node_id: str) -> bool:
        """Now: the vote of one that has everything, and is gone, can cost the quorum."""
        node = self._store.view().nodes.get(node_id)
        return node is not None and await takes_connections(node.manager_status.addr)


def _member(one: etcd.Member) -> Member:
    url = one.peerURLs[0] if one.peerURLs else ""
    node_id = url.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return Member(node_id, one.ID, one.isLearner)
