"""What can be done to a cluster that runs: a rolling update, lost nodes, a killed manager."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from bench.daemon import Daemon
from bench.figures import Figure
from bench.fleet.cluster import Cluster
from bench.fleet.fleet import Fleet
from swarmd import api

UPDATED = 1_000
PARALLELISM = 50
_LOST_OF_A_HUNDRED = 10
_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 300.0
_COMPLETED = api.UpdateStatus.UpdateState.COMPLETED


async def update(cluster: Cluster) -> AsyncIterator[Figure]:
    """A thousand tasks to another image, fifty at a time, with SwarmKit's own monitor period."""
    service_id = await cluster.create("rolling", UPDATED)
    await cluster.wait_running(service_id, UPDATED)
    begin, spent = time.monotonic(), cluster.cpu_seconds
    await cluster.update(service_id, _another_image)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while (await cluster.service(service_id)).update_status.state != _COMPLETED:  # noqa: ASYNC110 - the manager says it
            await asyncio.sleep(_LOOK_SECONDS)
    name = f"rolling update of {UPDATED:,}, parallelism {PARALLELISM}"
    yield Figure(name, time.monotonic() - begin, "s")
    yield Figure("… of the manager's CPU", cluster.cpu_seconds - spent, "s")
    await cluster.remove(service_id)
    await cluster.wait_quiet(len(await cluster.nodes()))


async def lose(cluster: Cluster, fleet: Fleet, tasks: int) -> AsyncIterator[Figure]:
    """A tenth of the nodes vanishes without a word; all tasks run again on the others."""
    nodes = len(fleet.agents)
    begin, spent = time.monotonic(), cluster.cpu_seconds
    lost = await fleet.lose(nodes * _LOST_OF_A_HUNDRED // 100)
    moved = sum(len(agent.tasks) for agent in lost)
    await _wait(lambda: fleet.running >= tasks)
    name = f"{len(lost)} of {nodes} nodes lost, {moved:,} tasks back"
    yield Figure(name, time.monotonic() - begin, "s")
    yield Figure("… of the manager's CPU", cluster.cpu_seconds - spent, "s")


async def restart(one: Daemon, fleet: Fleet) -> AsyncIterator[Figure]:
    """The manager is killed with all that it holds; every node comes back to the next one."""
    before = {agent.id: agent.sessions for agent in fleet.agents}
    begin = time.monotonic()
    ready = await asyncio.to_thread(one.kill, "manager")
    await _wait(lambda: all(agent.sessions > before.get(agent.id, 0) for agent in fleet.agents))
    yield Figure("killed manager to ready", ready, "s")
    yield Figure("… to all sessions back", time.monotonic() - begin, "s")


def _another_image(spec: api.ServiceSpec) -> None:
    spec.task.container.image = "nginx:latest"
    spec.update.parallelism = PARALLELISM


async def _wait(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - of a thousand agents
            await asyncio.sleep(_LOOK_SECONDS)
