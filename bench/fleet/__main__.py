"""python -m bench.fleet: many tasks on many nodes, from create to all RUNNING and quiet.

With --update, --lose and --restart, also what may come after that.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import click

from bench.daemon import Daemon
from bench.figures import Figure, show
from bench.fleet import Behaviour, Fleet, phases
from bench.fleet.cluster import Cluster
from bench.managers import Ours, managers
from swarmd.rpc.wakeups import take_all

Phase = Callable[[Daemon, Cluster, Fleet], AsyncIterator[Figure]]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--nodes", default=100, show_default=True, help="Simulated nodes.")
@click.option("--managers", "count", default=1, show_default=True, help="Managers of them.")
@click.option("--tasks", default=10_000, show_default=True, help="Tasks of one service on them.")
@click.option("--every-state", is_flag=True, help="Report each state, as real agents do.")
@click.option("--idle", default=10.0, show_default=True, help="Seconds to look at it idle.")
@click.option("--update", is_flag=True, help="Then update another thousand tasks, 50 at a time.")
@click.option("--lose", is_flag=True, help="Then lose a tenth of the nodes.")
@click.option("--restart", is_flag=True, help="Then kill the manager.")
def main(as_json: bool, tasks: int, idle: float, count: int, **options: Any) -> None:
    """Measure a manager, or several, under a fleet."""
    how = Behaviour(every_state=options["every_state"])
    chosen: list[Phase] = [
        partial(_join, nodes=options["nodes"], how=how),
        partial(_tasks, tasks=tasks),
        partial(_idle, seconds=idle),
    ]
    if options["update"]:
        chosen.append(lambda _, cluster, __: phases.update(cluster))
    if options["lose"]:
        chosen.append(lambda _, cluster, fleet: phases.lose(cluster, fleet, tasks))
    if options["restart"]:
        chosen.append(lambda one, _, fleet: phases.restart(one, fleet))
    show(measure(chosen, count), as_json=as_json)


def measure(chosen: list[Phase], count: int) -> Iterator[Figure]:
    """So many fresh managers, and one phase after another."""
    with managers(count) as some, asyncio.Runner() as runner:
        figures = _measure(some, chosen)
        take_all(runner.get_loop())
        while figure := runner.run(anext(figures, None)):
            yield figure


async def _measure(some: Ours, chosen: list[Phase]) -> AsyncIterator[Figure]:
    one = some.of[some.leader()]
    further = [str(other.report()["remote_addr"]) for other in some.of if other is not one]
    async with (
        Cluster.of(one) as cluster,
        Fleet(cluster.address, cluster.token, further=further) as fleet,
    ):
        cluster.others = some.beside(one)
        await cluster.drain_all()
        for phase in chosen:
            async for figure in phase(one, cluster, fleet):
                yield figure
        slowest = max(agent.slowest_beat for agent in fleet.agents)
        yield Figure("slowest heartbeat of all", slowest, "s")
        for why, count in fleet.losses.items():
            yield Figure(f"sessions lost: {why}", count, "")


async def _join(
    _: Daemon, cluster: Cluster, fleet: Fleet, nodes: int, how: Behaviour
) -> AsyncIterator[Figure]:
    begin, spent = time.monotonic(), cluster.cpu_seconds
    await fleet.join(nodes, how, trusting=True)
    yield Figure(f"{nodes:,} nodes join at once", time.monotonic() - begin, "s")
    yield Figure("… of the manager's CPU", cluster.cpu_seconds - spent, "s")
    await cluster.wait_quiet(nodes)


async def _tasks(_: Daemon, cluster: Cluster, fleet: Fleet, tasks: int) -> AsyncIterator[Figure]:
    nodes = len(fleet.agents)
    begin, spent, others = time.monotonic(), cluster.cpu_seconds, cluster.others_cpu_seconds
    service_id = await cluster.create("many", tasks)
    created = time.monotonic()
    await cluster.wait_running(service_id, tasks)
    running = time.monotonic()
    quiet = max(await cluster.wait_quiet(nodes), running)
    yield Figure(f"{tasks:,} tasks on {nodes:,} nodes: CreateService", created - begin, "s")
    yield Figure("… create to all RUNNING", running - begin, "s")
    yield Figure("… then to quiet", quiet - running, "s")
    yield Figure("… of the manager's CPU", cluster.cpu_seconds - spent, "s")
    for name, seconds in cluster.others_cpu_seconds.items():
        yield Figure(f"… of the CPU: {name}", seconds - others[name], "s")
    yield Figure("… memory of the manager", cluster.memory_mebibytes, "MiB")
    slowest = max(agent.slowest_beat for agent in fleet.agents)
    yield Figure("… slowest heartbeat", slowest, "s")


async def _idle(_: Daemon, cluster: Cluster, __: Fleet, seconds: float) -> AsyncIterator[Figure]:
    begin, spent = time.monotonic(), cluster.cpu_seconds
    await asyncio.sleep(seconds)
    share = 100 * (cluster.cpu_seconds - spent) / (time.monotonic() - begin)
    yield Figure("… idle", share, "% of a core")


if __name__ == "__main__":
    main()
