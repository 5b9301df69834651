"""The agent process: compose, report ready, run.

Whatever stops it leaves the tasks running: controllers are let go, the database is written, and the
next agent adopts them.
"""

import asyncio
import random
from random import Random
from typing import Final

from grpc import aio

from swarmd import api
from swarmd.api import tasks as task_names
from swarmd.clock import Clock, SystemClock
from swarmd.errors import CorruptStateError, UnauthenticatedError
from swarmd.ipc.messages import CertificateRenewed, Managers, Ready, Status
from swarmd.ipc.parent_link import ParentLink
from swarmd.logs import fields, get_logger
from swarmd.rpc.channel import dial_manager
from swarmd.security.certificates import NodeCertificates
from swarmd.state_dir import StateDir
from workers.agent import description, peers_file
from workers.agent.agent import Agent
from workers.agent.description import Describer
from workers.agent.executors.choose import Engines, choose_engines
from workers.agent.remotes import Remote, Remotes
from workers.agent.reporter import Reporter
from workers.agent.task_db import TaskDb
from workers.agent.task_set import TaskSet
from workers.program import run_worker

log = get_logger(__name__)

_STATUS_SECONDS: Final = 1.0


class Dialer:
    """Dials managers with the certificates that are on disk, read again when they are renewed."""

    def __init__(self, state_dir: StateDir, clock: Clock) -> None:
        """Raises CorruptStateError where they are not sound."""
        self._clock = clock
        self._state_dir = state_dir
        self.certificates = NodeCertificates.load(state_dir)

    def dial(self, address: str) -> aio.Channel:
        """A channel to a manager; raises UnauthenticatedError when the certificate ran out."""
        if self.certificates.expired(self._clock.now()):
            end = f"{self.certificates.not_after:%Y-%m-%d %H:%M} UTC"
            raise UnauthenticatedError(f"this node's certificate ran out on {end}")
        return dial_manager(address, self.certificates)

    async def renew(self) -> None:
        """Use the new files; a pair that does not fit is passed over, as one is half written."""
        try:
            self.certificates = await asyncio.to_thread(NodeCertificates.load, self._state_dir)
        except CorruptStateError as error:
            log.warning("keeping the earlier certificates", extra=fields(reason=error))


async def main(link: ParentLink) -> None:
    """Be this node's agent until cancelled."""
    clock, chance = SystemClock(), random.SystemRandom()
    state_dir = StateDir(link.config.state_dir)
    engines = choose_engines(link.config.engine_addr, state_dir, clock, chance)
    await run_agent(link, engines, clock, chance)


async def run_agent(link: ParentLink, engines: Engines, clock: Clock, chance: Random) -> None:
    """Be this node's agent, on these engines, until cancelled."""
    config, state_dir = link.config, StateDir(link.config.state_dir)
    dialer = Dialer(state_dir, clock)
    describer = Describer(config, engines.describe)
    known = peers_file.load(state_dir.remotes)
    remotes = Remotes(chance, known or [Remote("", config.join_addr)] * bool(config.join_addr))
    reporter = Reporter(clock, chance)
    await engines.configure(_this_node(dialer, config.hostname))
    async with (
        TaskDb(state_dir.tasks_db, clock, chance) as db,
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
        )
        agent = Agent(
            dial=dialer.dial,
            describe=describer.describe,
            configure=engines.configure,
            tasks=tasks,
            reporter=reporter,
            remotes=remotes,
            peers=state_dir.remotes,
            clock=clock,
            random=chance,
        )
        group.create_task(tasks.run())
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
            await dialer.renew()


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
