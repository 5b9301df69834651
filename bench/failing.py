"""Failovers of any managers: one ends, again and again, while a client creates."""

import time
from collections.abc import Callable

from bench.managers import Managers
from bench.writer import Writer


def failovers(of: Managers, end: Callable[[int], None], runs: int) -> list[float]:
    """Each run's seconds; whoever was ended is back before the next."""
    spent = []
    for _ in range(runs):
        time.sleep(of.settle_seconds)
        leader = of.leader()
        writer = Writer([door for number, door in enumerate(of.doors) if number != leader])
        writer.start()
        writer.wait_first()
        begun = time.monotonic()
        end(leader)
        spent.append(writer.gap_after(begun))
        writer.stop()
        of.bring_back(leader)
    return spent
