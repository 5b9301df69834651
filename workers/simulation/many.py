"""Many seeds: in this process, or spread over several, for a number of seeds or for a time."""

import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count, islice
from multiprocessing import get_context
from typing import Final

from workers.simulation.checker import Transition, Violation
from workers.simulation.scenario import Plan, Scenario

_BATCH: Final = 10
_MOST_VIOLATIONS: Final = 20


@dataclass(slots=True)
class Summary:
    """What came of many seeds; the seconds are the simulated ones but for `real_seconds`."""

    seeds: int = 0
    violations: list[tuple[int, Violation]] = field(default_factory=list)
    simulated_seconds: float = 0.0
    real_seconds: float = 0.0
    calls: int = 0
    commits: int = 0
    lives: int = 0
    holds: int = 0
    transitions: Counter[Transition] = field(default_factory=Counter)

    def add(self, other: "Summary") -> None:
        self.seeds += other.seeds
        self.violations += other.violations
        self.simulated_seconds += other.simulated_seconds
        self.calls += other.calls
        self.commits += other.commits
        self.lives += other.lives
        self.holds += other.holds
        self.transitions += other.transitions

    @property
    def is_bad_enough(self) -> bool:
        """No more seeds are needed to see that something is wrong."""
        return len(self.violations) >= _MOST_VIOLATIONS


def run_batch(seeds: range, plan: Plan) -> Summary:
    """These seeds, here and now."""
    summary = Summary()
    for seed in seeds:
        outcome = Scenario(seed, plan).run()
        summary.seeds += 1
        if outcome.violation is not None:
            summary.violations.append((seed, outcome.violation))
        summary.simulated_seconds += outcome.simulated_seconds
        summary.calls += outcome.calls
        summary.commits += outcome.commits
        summary.lives += outcome.lives
        summary.holds += outcome.holds
        summary.transitions += outcome.transitions
    return summary


def run_many(
    plan: Plan,
    *,
    first: int = 0,
    seeds: int | None = None,
    real_seconds: float | None = None,
    jobs: int = 1,
) -> Iterator[Summary]:
    """Summaries as they come, one for some seeds each, from `first` on.

    Ends after so many seeds, or once that much real time is over, or with too many violations.
    """
    until = None if real_seconds is None else time.monotonic() + real_seconds
    batches = _batches(first, seeds)
    total = Summary()
    with ExitStack() as stack:
        pool = stack.enter_context(_pool(jobs)) if jobs > 1 else None
        running: deque[Future[Summary]] = deque()
        while True:
            enough = total.is_bad_enough or (until is not None and time.monotonic() >= until)
            if pool is None:
                batch = None if enough else next(batches, None)
                if batch is None:
                    return
                finished = [run_batch(batch, plan)]
            else:
                room = 0 if enough else 2 * jobs - len(running)
                running += [pool.submit(run_batch, one, plan) for one in islice(batches, room)]
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                running = deque(one for one in running if one not in done)
                finished = [one.result() for one in done]
            for summary in finished:
                total.add(summary)
                yield summary


def _pool(jobs: int) -> ProcessPoolExecutor:
    # Fresh processes: gRPC does not survive a fork.
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))


def _batches(first: int, seeds: int | None) -> Iterator[range]:
    end = None if seeds is None else first + seeds
    for start in count(first, _BATCH):
        if end is not None and start >= end:
            return
        yield range(start, start + _BATCH if end is None else min(start + _BATCH, end))
