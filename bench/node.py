"""One node, measured from outside: the figures of design §8 that one node has."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from typing import Any

import psutil

from bench.daemon import LOOK_SECONDS, PATIENCE_SECONDS, Daemon, daemon
from bench.figures import Figure
from swarmd import api
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.rpc.channel import dial_control

MEBIBYTE = 1 << 20
CREATES = 1_000
TASKS = 1_000
KILLED_WITH = 50


def measure(runs: int) -> Iterator[Figure]:
    """Every figure, as soon as it is known; medians of so many runs where one is cheap."""
    starts, stops = zip(*(_start_and_stop() for _ in range(runs)), strict=True)
    yield Figure("start to ready, fresh state", statistics.median(starts), "s", 1.5)
    yield Figure("clean stop, workers idle", statistics.median(stops), "s", 2.0)
    with daemon() as one:
        one.start()
        yield from _memory(one)
        yield from asyncio.run(_creates(one))
        one.stop()
        yield Figure("start to ready, 1,000 services in the store", one.start(), "s")
    with daemon() as one:
        one.start()
        asyncio.run(_run_tasks(one, KILLED_WITH))
        for worker in ("manager", "agent"):
            killed = [one.kill(worker) for _ in range(runs)]
            name = f"killed {worker} to ready, {KILLED_WITH} tasks"
            yield Figure(name, statistics.median(killed), "s", 1.5)
    with daemon() as one:
        one.start()
        spent = asyncio.run(_run_tasks(one, TASKS))
        yield Figure(f"{TASKS:,} tasks of sleep, create to all RUNNING", spent, "s")
        yield from _memory(one, f" with {TASKS:,} tasks")


def _start_and_stop() -> tuple[float, float]:
    with daemon() as one:
        return one.start(), one.stop()


def _memory(one: Daemon, when: str = "") -> Iterator[Figure]:
    pids = {"parent": one.report()["pid"]}
    pids |= {worker["name"]: worker["pid"] for worker in one.report()["processes"]}
    sizes = {name: psutil.Process(pid).memory_info().rss / MEBIBYTE for name, pid in pids.items()}
    for name, size in sizes.items():
        yield Figure(f"memory of the {name}{when}", size, "MiB", 30 if name == "parent" else None)
    yield Figure(f"memory of all three{when}", sum(sizes.values()), "MiB", None if when else 150)


def _spec(name: str, replicas: int) -> api.ServiceSpec:
    spec = api.ServiceSpec(annotations=api.Annotations(name=name))
    spec.replicated.replicas = replicas
    spec.task.container.image = "host"
    spec.task.container.command.extend(["/bin/sleep", "100000"])
    return spec


async def _creates(one: Daemon) -> list[Figure]:
    """CreateService, one after another; of no replicas, so that the call alone is measured."""
    spent = []
    async with await dial_control(one.socket) as channel:
        control: Any = ControlStub(channel)
        for number in range(CREATES):
            request = api.CreateServiceRequest(spec=_spec(f"s{number}", 0))
            begin = time.monotonic()
            await control.CreateService(request)
            spent.append(1000 * (time.monotonic() - begin))
    cuts = statistics.quantiles(spent, n=100)
    return [
        Figure("CreateService one after another", 1000 * CREATES / sum(spent), "1/s"),
        Figure("… p50", cuts[49], "ms", 3.0),
        Figure("… p99", cuts[98], "ms", 8.0),
    ]


async def _run_tasks(one: Daemon, count: int) -> float:
    """Seconds from the create of one service to all of its tasks RUNNING."""
    async with await dial_control(one.socket) as channel:
        control: Any = ControlStub(channel)
        begin = time.monotonic()
        reply = await control.CreateService(api.CreateServiceRequest(spec=_spec("many", count)))
        request = api.ListServiceStatusesRequest(services=[reply.service.id])
        while True:
            # Counts alone: listing the tasks themselves would be most of the manager's work.
            (status,) = (await control.ListServiceStatuses(request)).statuses
            spent = time.monotonic() - begin
            if status.running_tasks == count:
                return spent
            if spent > PATIENCE_SECONDS:
                raise TimeoutError(f"{status.running_tasks} of {count} run")
            await asyncio.sleep(LOOK_SECONDS * 10)
