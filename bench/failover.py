"""A quorum of managers that loses its leader: python -m bench.failover [--runs 20] [--json].

On one host, so all of them share its cores and its disk. A client at a follower creates without a
pause; a failover is the longest time from one acknowledged creation to the next, in the seconds
after the signal. The same is then asked of Docker Engine's managers, where there is one. With
--objects, also what managers of a large store take to join, to start and to take over.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import click
import pytest

from bench.docker_managers import Dockers, docker_managers
from bench.failing import failovers
from bench.figures import Figure, show
from bench.large import large
from bench.managers import Managers, Ours, managers
from bench.writer import Door, Writer

_HOLD_SECONDS: Final = 3.0
_HANDOVER_SECONDS: Final = 0.3
_WRITES: Final = 500
_CLIENTS: Final = 16
_WRITING_SECONDS: Final = 5
_FORM: Final = 3


def _both(name: str, spent: list[float], hold: float | None = None) -> Iterator[Figure]:
    yield Figure(f"{name}, p50", statistics.median(spent), "s", hold)
    yield Figure(f"{name}, worst of {len(spent)}", max(spent), "s", hold)


def writes(of: Managers) -> Iterator[Figure]:
    """By one client at the leader, then by many."""
    door = of.doors[of.leader()]
    spent = sorted(_creates(door))
    yield Figure(f"{of.name}: a create, p50", spent[len(spent) // 2] * 1000, "ms")
    yield Figure(f"{of.name}: a create, p99", spent[len(spent) * 99 // 100] * 1000, "ms")
    writers = [Writer([door]) for _ in range(_CLIENTS)]
    for writer in writers:
        writer.start()
    time.sleep(_WRITING_SECONDS)
    for writer in writers:
        writer.stop()
    total = sum(len(writer.done) for writer in writers)
    yield Figure(f"{of.name}: creates by {_CLIENTS} clients", total / _WRITING_SECONDS, "/s")


def _creates(door: Door) -> Iterator[float]:
    with door() as create:
        for _ in range(_WRITES):
            begun = time.monotonic()
            create()
            yield time.monotonic() - begun


def ours(three: Ours, runs: int) -> Iterator[Figure]:
    """Of swarmd's managers, each way for the lead to end."""
    hold, handover = _HOLD_SECONDS, _HANDOVER_SECONDS
    yield from _both("leader's host killed", failovers(three, three.kill, runs), hold)
    killed = failovers(three, three.kill_worker, runs)
    yield from _both("leader's manager worker killed", killed, hold)
    yield from _both("leader stopped", failovers(three, three.stop, runs), handover)


def dockers(three: Dockers, runs: int) -> Iterator[Figure]:
    """The same of Docker Engine's, which are one process each."""
    yield from _both("Docker's leader killed", failovers(three, three.kill, runs))
    yield from _both("Docker's leader stopped", failovers(three, three.stop, runs))


def measure(runs: int, docker_runs: int, sizes: Sequence[int], objects: int) -> Iterator[Figure]:
    """Ours, Docker's beside them, and the large store if asked for."""
    for size in sizes:
        with managers(size) as some:
            yield from writes(some)
        if docker_runs and size <= _FORM:
            yield from _of_docker(size, writes)
    if runs:
        with managers(_FORM) as three:
            yield from ours(three, runs)
    if docker_runs:
        yield from _of_docker(_FORM, partial(dockers, runs=docker_runs))
    if objects:
        yield from large(objects, objects // 10)
        yield from large(objects, objects)


def _of_docker(count: int, measured: Callable[[Dockers], Iterator[Figure]]) -> Iterator[Figure]:
    try:
        with docker_managers(count) as some:
            yield from measured(some)
    except pytest.skip.Exception as reason:
        click.echo(f"Docker's managers are left out: {reason}", err=True)


@click.command()
@click.option("--runs", default=20, show_default=True, help="Failovers of each kind.")
@click.option("--size", "sizes", multiple=True, default=(1, 3, 5), type=int, help="Managers.")
@click.option("--docker-runs", default=5, show_default=True, help="Failovers of Docker's managers.")
@click.option("--objects", default=0, show_default=True, help="Objects in a large store.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(as_json: bool, **options: Any) -> None:
    """Measure failover, and writes through a quorum, on this machine."""
    show(measure(**options), as_json=as_json)


if __name__ == "__main__":
    main()
