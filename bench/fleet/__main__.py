"""python -m bench.fleet: many tasks on many nodes, from create to all RUNNING and quiet."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import click

from bench.daemon import daemon
from bench.figures import Figure, show
from bench.fleet import Behaviour, Fleet
from bench.fleet.cluster import Cluster
from swarmd.rpc.wakeups import take_all


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--nodes", default=100, show_default=True, help="Simulated nodes.")
@click.option("--tasks", default=10_000, show_default=True, help="Tasks of one service on them.")
@click.option("--every-state", is_flag=True, help="Report each state, as real agents do.")
@click.option("--idle", default=10.0, show_default=True, help="Seconds to look at it idle.")
def main(as_json: bool, nodes: int, tasks: int, every_state: bool, idle: float) -> None:
    """Measure a manager under a fleet."""
    show(measure(nodes, tasks, Behaviour(every_state=every_state), idle), as_json=as_json)


def measure(nodes: int, tasks: int, behaviour: Behaviour, idle: float) -> Iterator[Figure]:
    """A fresh manager, so many nodes, then one service of so many tasks."""
    with daemon() as one:
        one.start()
        yield from asyncio.run(_measure(Cluster.of(one), nodes, tasks, behaviour, idle))


async def _measure(
    opened: AbstractAsyncContextManager[Cluster],
    nodes: int,
    tasks: int,
    behaviour: Behaviour,
    idle: float,
) -> list[Figure]:
    take_all(asyncio.get_running_loop())
    async with opened as cluster, Fleet(cluster.address, cluster.token) as fleet:
        await cluster.drain_all()
        begin, spent = time.monotonic(), cluster.cpu_seconds
        await fleet.join(nodes, behaviour, trusting=True)
        figures = [
            Figure(f"{nodes:,} nodes join at once", time.monotonic() - begin, "s"),
            Figure("… of the manager's CPU", cluster.cpu_seconds - spent, "s"),
        ]
        await cluster.wait_quiet(nodes)
        figures += await _tasks(cluster, f"{tasks:,} tasks on {nodes:,} nodes", nodes, tasks)
        slowest = max(agent.slowest_beat for agent in fleet.agents)
        figures.append(Figure("… slowest heartbeat", slowest, "s"))
        begin, spent = time.monotonic(), cluster.cpu_seconds
        await asyncio.sleep(idle)
        share = 100 * (cluster.cpu_seconds - spent) / (time.monotonic() - begin)
        figures.append(Figure("… idle", share, "% of a core"))
        broken = [Figure(f"sessions lost: {why}", n, "") for why, n in fleet.losses.items()]
        return figures + broken


async def _tasks(cluster: Cluster, name: str, nodes: int, tasks: int) -> list[Figure]:
    begin, spent = time.monotonic(), cluster.cpu_seconds
    service_id = await cluster.create("many", tasks)
    created = time.monotonic()
    await cluster.wait_running(service_id, tasks)
    running = time.monotonic()
    quiet = max(await cluster.wait_quiet(nodes), running)
    return [
        Figure(f"{name}: CreateService", created - begin, "s"),
        Figure("… create to all RUNNING", running - begin, "s"),
        Figure("… then to quiet", quiet - running, "s"),
        Figure("… of the manager's CPU", cluster.cpu_seconds - spent, "s"),
        Figure("… memory of the manager", cluster.memory_mebibytes, "MiB"),
    ]


if __name__ == "__main__":
    main()
