"""python -m workers.etcd: open the ways to the other members, run etcd, say how it is."""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random, SystemRandom
from typing import Final

from swarmd.clock import Clock, SystemClock
from swarmd.errors import SwarmError
from swarmd.etcd_program import find_etcd
from swarmd.ipc.messages import Ready, Status
from swarmd.ipc.parent_link import ParentLink
from swarmd.logs import fields, get_logger
from swarmd.quorum_file import MOVING, QuorumFile
from swarmd.security.certificates import NodeCertificates
from swarmd.state_dir import StateDir
from swarmd.store.etcd import EtcdClient
from swarmd.store.etcd.lease import WILL
from swarmd.store.room import Room
from workers.etcd.command import command_line
from workers.etcd.door import Door
from workers.etcd.forcing import quorum_at_start
from workers.etcd.member import CLIENT, Member, describe
from workers.etcd.slowness import Slowness
from workers.etcd.tunnel import Tunnels
from workers.etcd.will import Wills
from workers.program import run_worker

log = get_logger(__name__)
_LOOK_SECONDS: Final = 0.25
_STATUS_SECONDS: Final = 2.0


async def main(link: ParentLink) -> None:
    """Be one member of the quorum until cancelled."""
    clock, random = SystemClock(), SystemRandom()
    state_dir = StateDir(link.config.state_dir)
    await _wait_quorum(state_dir, clock)
    # By way of the descriptor, no directory is too long for a unix socket.
    directory = Path(f"/proc/self/fd/{os.open(state_dir.etcd, os.O_PATH | os.O_DIRECTORY)}")
    force = link.config.force_new_cluster
    quorum, told = await asyncio.to_thread(quorum_at_start, state_dir, force=force)
    etcd = await asyncio.to_thread(find_etcd)

    def command() -> list[str]:
        now = QuorumFile.load(directory / state_dir.quorum.name) or quorum
        return command_line(etcd.path, link.config, now)

    member = Member(quorum.node_id, directory, state_dir.etcd, command, Slowness(clock))

    def certificates() -> NodeCertificates:
        return NodeCertificates.load(state_dir)

    tunnels = Tunnels(directory, quorum.node_id, certificates, clock, random)
    own = directory / f"{quorum.node_id}:0"

    def members() -> Mapping[str, str]:
        now = QuorumFile.load(state_dir.quorum)
        return now.members if now is not None else {}

    door = Door(directory, own, certificates, members, clock)
    await tunnels.follow(quorum.members)
    wills = Wills(directory / WILL, EtcdClient(directory / CLIENT))

    def further() -> Mapping[str, str]:
        return {**told, "away": tunnels.unreached}

    beside = (door.run(), wills.run(), _report(link, member, directory / CLIENT, further, clock))
    async with asyncio.TaskGroup() as group:
        ways = [group.create_task(one) for one in beside]
        following = group.create_task(_follow(tunnels, state_dir, directory, clock))
        keeping = group.create_task(_keep(member, state_dir, clock, random))
        link.report(Ready())
        try:
            await asyncio.wait((keeping, following), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not (keeping.done() or following.done()):
                await wills.wait_none()  # a parent that is gone stops the manager at the same time
            keeping.cancel()
            await asyncio.wait([keeping])  # with its ways open, so that another leads the raft
            for way in (*ways, following):
                way.cancel()
    await _wait_quorum(state_dir, clock)  # the parent starts this worker anew then


async def _wait_quorum(state_dir: StateDir, clock: Clock) -> None:
    """Return once this manager is in a quorum; one that has just left it stops this process."""
    while not state_dir.quorum.exists():
        await clock.sleep(_LOOK_SECONDS)


async def _keep(member: Member, state_dir: StateDir, clock: Clock, random: Random) -> None:
    """As `Member.keep`; but while the store moves into it etcd may fail, and only the move does."""
    try:
        await member.keep(clock, random)
    except SwarmError as error:
        quorum = QuorumFile.load(state_dir.quorum)
        if quorum is not None and quorum.start != MOVING:
            raise
        log.warning("etcd failed before it had the store", extra=fields(reason=error))
        await asyncio.Event().wait()


async def _follow(tunnels: Tunnels, state_dir: StateDir, directory: Path, clock: Clock) -> None:
    """Take the members and their addresses as the file has them, soon after it changed.

    Returns when the directory is another one or none: this manager left the quorum of this one.
    """
    seen, quorum = None, QuorumFile.load(directory / state_dir.quorum.name)
    while quorum is not None and _is_here(state_dir, directory):
        if quorum != seen:
            seen = quorum
            await tunnels.follow(quorum.members)
        await clock.sleep(_LOOK_SECONDS)
        quorum = QuorumFile.load(directory / state_dir.quorum.name)


def _is_here(state_dir: StateDir, directory: Path) -> bool:
    try:
        return directory.samefile(state_dir.etcd)
    except FileNotFoundError:
        return False


async def _report(
    link: ParentLink,
    member: Member,
    socket: Path,
    further: Callable[[], Mapping[str, str]],
    clock: Clock,
) -> None:
    client = EtcdClient(socket)
    room = Room(quota=link.config.quota_backend_bytes)
    try:
        while True:
            facts, room = await describe(member, client, room)
            link.report(Status({**facts, **further()}))
            await clock.sleep(_STATUS_SECONDS)
    finally:
        await client.close()


if __name__ == "__main__":
    run_worker("etcd", main)
