"""What a quorum takes with a large store: to join, to start, and to be led by another."""

import statistics
from collections.abc import Iterator

from bench.backup import fill
from bench.daemon import daemon
from bench.failing import failovers
from bench.figures import Figure
from bench.managers import Ours, as_manager

_RUNS = 3


def large(objects: int, tasks: int) -> Iterator[Figure]:
    """So many objects, that many of them tasks that run; the others are configs."""
    name = f"with {objects:,} objects, {tasks:,} of them tasks"
    with daemon() as first:
        first.start()
        first.stop()
        fill(first, objects, tasks)
        yield Figure(f"a manager alone starts {name}", first.start(), "s")
        with daemon(**as_manager(first)) as second:
            yield Figure("… a second one joins, the store moves", second.start(), "s")
            with daemon(**as_manager(first)) as third:
                yield Figure("… a third one joins, which reads it all", third.start(), "s")
                three = Ours([first, second, third])
                follower = three.of[(three.leader() + 1) % len(three.of)]
                follower.stop()
                yield Figure("… a follower starts", follower.start(), "s")
                for what, end in (("stopped", three.stop), ("killed with its host", three.kill)):
                    spent = statistics.median(failovers(three, end, _RUNS))
                    yield Figure(f"… the leader is {what}, p50 of {_RUNS}", spent, "s")
