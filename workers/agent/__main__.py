"""The agent process: compose, report ready, run.

Whatever stops it leaves the tasks running: controllers are let go, the database is written, and the
next agent adopts them.
"""

import asyncio
import random
from dataclasses import asdict
from functools import partial
from random import Random
from typing import Final

from swarmd import api
from swarmd.api import tasks as task_names
from swarmd.clock import Clock, SystemClock
from swarmd.config import NodeConfig
from swarmd.csi.driver import Drivers
from swarmd.etcd_program import why_no_manager
from swarmd.ipc.messages import (
    MANAGER,
    WORKER,
    CertificateRenewed,
    Managers,
    NodeChanged,
    Ready,
    Status,
)
from swarmd.ipc.parent_link import ParentLink
from swarmd.logs import fields, get_logger
from swarmd.security import identity
from swarmd.security.certificates import NodeCertificates
from swarmd.state_dir import StateDir
from workers.agent import description, peers_file
from workers.agent.agent import Agent
from workers.agent.csi.volume_set import VolumeSet
from workers.agent.description import Describer
from workers.agent.dialer import Dialer
from workers.agent.enrollment import enroll
from workers.agent.executors.choose import Engines, choose_engines
from workers.agent.remotes import Remote, Remotes
from workers.agent.renewal import Renewal
from workers.agent.reporter import Reporter
from workers.agent.task_db import TaskDb
from workers.agent.task_set import TaskSet
from workers.program import run_worker

log = get_logger(__name__)

_STATUS_SECONDS: Final = 1.0


async def main(link: ParentLink) -> None:
    """Be this node's agent until cancelled."""
    clock, chance = SystemClock(), random.SystemRandom()
    state_dir = StateDir(link.config.state_dir)
    engines = choose_engines(link.config.engine_addr, state_dir, clock, chance)
    await join(link, clock, chance)
    await run_agent(link, engines, clock, chance)


async def join(link: ParentLink, clock: Clock, chance: Random) -> None:
    """Get this node its certificate, where it has none or one that ran out; raises CannotBootError.

    One that has a certificate is of a cluster already: what it was told of joining is passed over.
    """
    config, state_dir = link.config, StateDir(link.config.state_dir)
    if NodeCertificates.exist(state_dir):
        shown = await asyncio.to_thread(NodeCertificates.load, state_dir)
        if not (shown.expired(clock.now()) and config.join_token):
            state_dir.join_settings.unlink(missing_ok=True)
            return
        about = fields(**asdict(who(shown)))
        log.warning("this node's certificate ran out: it joins again", extra=about)
    elif not config.join_addr:
        return
    await enroll(config, state_dir, clock, chance)
    state_dir.join_settings.unlink(missing_ok=True)  # a token is kept no longer than needed


def who(certificates: NodeCertificates) -> NodeChanged:
    """What the parent is told of this node."""
    shown = certificates.identity
    role = MANAGER if shown.role == identity.MANAGER else WORKER
    return NodeChanged(shown.node_id, shown.cluster_id, role)


def known_managers(config: NodeConfig, state_dir: StateDir) -> list[Remote]:
    """Those of the last session, and the one that it was told to join by."""
    known = peers_file.load(state_dir.remotes)
    if config.join_addr and config.join_addr not in {remote.addr for remote in known}:
        known.append(Remote("", config.join_addr))
    return known


async def run_agent(link: ParentLink, engines: Engines, clock: Clock, chance: Random) -> None:
    """Be this node's agent, on these engines, until cancelled."""
    config, state_dir = link.config, StateDir(link.config.state_dir)
    dialer = Dialer(state_dir, clock)
    link.report(who(dialer.certificates))

    volumes = VolumeSet(Drivers(config.csi_plugin), state_dir.volumes, clock, chance)

    async def describe(description: api.NodeDescription) -> None:
        await engines.describe(description)
        await volumes.describe(description)
        description.tls_info.CopyFrom(dialer.certificates.tls_info())

    def renewed() -> None:
        link.report(CertificateRenewed())
        link.report(who(dialer.certificates))  # it may say another role than before

    describer = Describer(config, describe)
    remotes = Remotes(chance, known_managers(config, state_dir))
    renewal = Renewal(
        dialer=dialer,
        remotes=remotes,
        current=lambda: agent.channel,
        rejoin=partial(enroll, config, state_dir, clock, chance) if config.join_token else None,
        renewed=renewed,
        why_no_manager=partial(why_no_manager, config.store),
        clock=clock,
        random=chance,
    )
    reporter = Reporter(clock, chance)
    await engines.configure(_this_node(dialer, config.hostname))
    async with (
        TaskDb(state_dir.tasks_db, clock, chance) as db,
        volumes,
        asyncio.TaskGroup() as base,
        asyncio.TaskGroup() as group,  # ends first: letting go of tasks needs engines and database
    ):
        base.create_task(engines.run())
        base.create_task(db.run())
        tasks = TaskSet(
            engines=engines,
            db=db,
            reporter=reporter,
            directory=state_dir.tasks,
            clock=clock,
            random=chance,
            volumes=volumes,
        )
        agent = Agent(
            dial=dialer.dial,
            describe=describer.describe,
            configure=engines.configure,
            hear=renewal.hear,
            tasks=tasks,
            reporter=reporter,
            remotes=remotes,
            peers=state_dir.remotes,
            clock=clock,
            random=chance,
        )
        group.create_task(tasks.run())
        group.create_task(renewal.run())
        group.create_task(_follow(link, remotes, dialer))
        group.create_task(_say_status(link, agent, tasks, engines, clock))
        group.create_task(agent.run())
        await agent.wait_registered()
        link.report(Ready())


def _this_node(dialer: Dialer, hostname: str) -> api.Node:
    """What this host knows of its node before the first session: enough for templates."""
    node_id = dialer.certificates.identity.node_id
    return api.Node(id=node_id, description=description.of_host(hostname))


async def _follow(link: ParentLink, remotes: Remotes, dialer: Dialer) -> None:
    """Do what the parent says."""
    async for message in link.updates():
        if isinstance(message, Managers):
            remotes.prefer(message.addrs)
        elif isinstance(message, CertificateRenewed):
            await dialer.reload()
            link.report(who(dialer.certificates))


async def _say_status(
    link: ParentLink, agent: Agent, tasks: TaskSet, engines: Engines, clock: Clock
) -> None:
    """Tell the parent what `swarmd status` shows, when it changes."""
    told: dict[str, str] = {}
    while True:
        states = tasks.states()
        by_state = [f"{count} {task_names.state_name(state)}" for state, count in states.items()]
        facts = {
            "tasks": str(states.total()),
            "task_states": ", ".join(sorted(by_state)),
            "engines": ", ".join(engines.names),
            "manager": agent.manager,
        }
        if facts != told:
            link.report(Status(facts))
            told = facts
        await clock.sleep(_STATUS_SECONDS)


if __name__ == "__main__":
    run_worker("agent", main)
