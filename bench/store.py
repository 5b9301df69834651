"""How fast the store is: python -m bench.store [--count 10000] [--load 100000] [--json].

Creates and updates tasks through `update` (200 writers at a time, and one alone) and through
`batch`, on each backend, then loads a large store; `sealed` is SQLite as managers have it, under a
data key. Medians of --runs runs.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from swarmd import api, ids
from swarmd.clock import SystemClock
from swarmd.security.encryption import Sealer
from swarmd.store import Backend, MemoryBackend, SqliteBackend, Store, WriteTx

WRITERS = 200
TASKS_A_SERVICE = 1_000
NODES = 100
_random = random.Random(1)

Figures = dict[str, float]
Open = Callable[[], Backend]


def new_task(number: int) -> api.Task:
    """A task as an orchestrator makes it, some 400 bytes of it."""
    service = number // TASKS_A_SERVICE
    return api.Task(
        id=ids.new_id(_random),
        service_id=f"service{service:018}",
        slot=number % TASKS_A_SERVICE + 1,
        node_id=f"node{number % NODES:021}",
        service_annotations=api.Annotations(name=f"web-{service}", labels={"tier": "front"}),
        spec=api.TaskSpec(
            container=api.ContainerSpec(
                image="host", command=["/usr/bin/server"], args=["--port", "80"], env=["A=b"] * 5
            ),
            resources=api.ResourceRequirements(limits=api.Resources(memory_bytes=1 << 28)),
        ),
        status=api.TaskStatus(state=api.TaskState.NEW, message="created"),
        desired_state=api.TaskState.RUNNING,
        spec_version=api.Version(index=7),
    )


def create(task: api.Task) -> Callable[[WriteTx], api.Task]:
    return lambda tx: tx.tasks.create(task)


def assign(task_id: str) -> Callable[[WriteTx], api.Task]:
    def change(tx: WriteTx) -> api.Task:
        task = tx.tasks.copy(task_id)
        task.status.state = api.TaskState.ASSIGNED
        return tx.tasks.update(task)

    return change


async def a_second(count: int, work: Awaitable[object]) -> float:
    start = time.perf_counter()
    await work
    return count / (time.perf_counter() - start)


async def concurrently(store: Store, changes: list[Callable[[WriteTx], api.Task]]) -> None:
    async def writer(first: int) -> None:
        for change in changes[first::WRITERS]:
            await store.update(change)

    async with asyncio.TaskGroup() as group:
        for first in range(WRITERS):
            group.create_task(writer(first))


async def one_by_one(store: Store, ids: list[str]) -> tuple[float, float]:
    """The median and the 99th percentile, in milliseconds."""
    times = []
    for task_id in ids:
        start = time.perf_counter()
        await store.update(assign(task_id))
        times.append((time.perf_counter() - start) * 1000)
    cuts = statistics.quantiles(times, n=100)
    return cuts[49], cuts[98]


async def measure(reopen: Open, count: int, load: int) -> Figures:
    figures: Figures = {}
    tasks = [new_task(number) for number in range(2 * count)]
    async with Store(reopen(), SystemClock()) as store:
        changes = [create(task) for task in tasks]
        figures["creates/s, 200 writers"] = await a_second(
            count, concurrently(store, changes[:count])
        )
        figures["creates/s, batch"] = await a_second(count, store.batch(changes[count:]))
        changes = [assign(task.id) for task in tasks]
        figures["updates/s, batch"] = await a_second(2 * count, store.batch(changes))
        p50, p99 = await one_by_one(store, [task.id for task in tasks[:1000]])
        figures["one update alone, ms p50"] = p50
        figures["one update alone, ms p99"] = p99
        more = [create(new_task(number)) for number in range(2 * count, load)]
        await store.batch(more)
        figures[f"updates/s, batch, among {load}"] = await a_second(
            2 * count, store.batch([assign(task.id) for task in tasks])
        )
    start = time.perf_counter()
    async with Store(reopen(), SystemClock()) as store:
        figures[f"load of {load}, s"] = time.perf_counter() - start
    return figures


def measure_each(runs: int, count: int, load: int) -> dict[str, Figures]:
    found: dict[str, list[Figures]] = {"memory": [], "sqlite": [], "sealed": []}
    for _ in range(runs):
        memory = MemoryBackend()
        found["memory"].append(asyncio.run(measure(partial(_same, memory), count, load)))
        for name, sealer in (("sqlite", None), ("sealed", Sealer(bytes(32), Path("bench")))):
            with tempfile.TemporaryDirectory(prefix="swarmd-bench") as directory:
                path = Path(directory) / "swarm.db"
                run = measure(partial(SqliteBackend, path, sealer), count, load)
                found[name].append(asyncio.run(run))
    return {
        name: {key: statistics.median(run[key] for run in all_runs) for key in all_runs[0]}
        for name, all_runs in found.items()
    }


def _same(backend: Backend) -> Backend:
    return backend


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--load", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure_each(options.runs, options.count, options.load)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{'':40}" + "".join(f"{name:>12}" for name in figures))
    for key in figures["memory"]:
        print(f"{key:40}" + "".join(f"{one[key]:12,.2f}" for one in figures.values()))


if __name__ == "__main__":
    main()
